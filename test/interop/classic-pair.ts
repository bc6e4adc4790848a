/**
 * Two hosts for `warren classic`: the client on the left, the server on the right, on one cable. The cable's addresses
 * are of documentation networks, which count as public, so the server is told that this is known.
 *
 *     left  tun0 10.8.0.2, fd08::2  192.0.2.1 ------ 192.0.2.2  tun0 10.8.0.1, fd08::1  right
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Machine, Program } from "./machine.ts";
import { warrenCommand } from "./warren-process.ts";

export const serverAddress = "192.0.2.2";
export const classicPort = 5555;

/** Addresses of the tunnel's ends. */
export const tunnelOf = {
  server: { 4: "10.8.0.1", 6: "fd08::1" },
  client: { 4: "10.8.0.2", 6: "fd08::2" },
} as const;

export function addressesOf(side: "server" | "client"): string[] {
  return ["--address", `${tunnelOf[side][4]}/24`, "--address", `${tunnelOf[side][6]}/64`];
}

/** Starts a server and waits until it listens. */
export async function startServer(host: Machine, ...more: string[]): Promise<Program> {
  const program = host.start(
    warrenCommand(
      [],
      ...["classic", "server", "--tun", "tun0", "--listen", `${serverAddress}:${classicPort}`],
      ...["--i-know-this-is-not-encryption", ...addressesOf("server"), ...more],
    ),
  );
  await program.line(/is up/);
  return program;
}

/** Starts a client of the server at `serverAddress`, and waits until it is connected. */
export async function startClient(host: Machine, ...more: string[]): Promise<Program> {
  const program = host.start(warrenCommand([], "classic", "client", serverAddress, "--tun", "tun0", ...more));
  await program.line(/: connected$/);
  return program;
}

/** The seed's program, built; removed on disposal. */
export class SeedProgram implements Disposable {
  readonly path: string;
  readonly #folder: string = mkdtempSync(join(tmpdir(), "warren-classic-"));

  constructor(compiler: string) {
    this.path = join(this.#folder, "classic-peer");
    const source = fileURLToPath(new URL("./classic-peer.c", import.meta.url));
    execFileSync(compiler, ["-O2", "-Wall", "-Werror", "-o", this.path, source]);
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}
