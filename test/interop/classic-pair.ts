/**
 * Two hosts for `warren classic`: the client on the left, the server on the right, on one cable. The cable's addresses
 * are of documentation networks, which count as public, so the server is told that this is known.
 *
 *     left  tun0 10.8.0.2, fd08::2  192.0.2.1 ------ 192.0.2.2  tun0 10.8.0.1, fd08::1  right
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import type { Machine, Program } from "./machine.ts";
import { slowdown, within } from "./patience.ts";
import type { TransferReport } from "./transfer.ts";
import type { Underlay } from "./underlay.ts";
import { warrenCommand } from "./warren-process.ts";

export const families = [4, 6] as const;
export const megabyte = 1_000_000;
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

const transferProgram = [process.execPath, fileURLToPath(new URL("./transfer.ts", import.meta.url))];

/** Whether the tests' hosts can be made and can ping. */
export function isReady(t: TestContext): boolean {
  return requireNamespaces(t) && requireProgram(t, "ping", "iputils-ping") !== undefined;
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

/** Ends a program and sees that it was orderly and quick. Returns what it had printed. */
export async function stop(program: Program, signal: NodeJS.Signals = "SIGTERM"): Promise<string> {
  const mostMs = 1000 * slowdown();
  const begun = performance.now();
  program.kill(signal);
  const { code, stdout, stderr } = await within(30_000, "an orderly end", program.outcome);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^warren classic: XOR with 0x42 hides nothing[^\n]*\n$/);
  const elapsedMs = performance.now() - begun;
  assert.ok(elapsedMs < mostMs, `it took ${elapsedMs} ms, not ${mostMs}`);
  return stdout;
}

/** Random bytes both ways over one connection from the left. Fails unless what arrives is what was sent. */
export async function transfer({ left, right }: Underlay, address: string, bytes: number): Promise<void> {
  const server = right.start([...transferProgram, "serve", "7000", String(bytes)]);
  await server.line(/listening/);
  const client = left.start([...transferProgram, "connect", address, "7000", String(bytes)]);
  const [there, here]: TransferReport[] = await Promise.all(
    [server, client].map(async (program) => JSON.parse(await program.line(/^\{/))),
  );
  assert.deepEqual([there.receivedBytes, here.receivedBytes], [bytes, bytes]);
  assert.deepEqual([there.received, here.received], [here.sent, there.sent]);
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
