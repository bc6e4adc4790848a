/**
 * A program that stands where the kernel's WireGuard would: warren-wg, or wireguard-go beside it. It is started in a
 * host, in the foreground, and set up by `wg` as an operator would. Control sockets of all hosts lie in one folder, so
 * every interface has a name that no other test has.
 */
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PrivateKey } from "../../src/base/keys.ts";
import type { Machine, Program } from "./machine.ts";
import { publicKeyOf } from "./tunnel-pair.ts";

export const warrenWg: string = fileURLToPath(new URL("../../bin/warren-wg", import.meta.url));

let made = 0;
export const uniqueName = (): string => `w${process.pid}x${made++}`;

/** A private key that is one byte over and over, and the public one to it, in base64. */
export function keyPair(byte: number): { readonly secret: string; readonly public: string } {
  using key = new PrivateKey(new Uint8Array(32).fill(byte));
  return { secret: key.reveal(), public: publicKeyOf(key).toString() };
}

export class UserspaceWireguard implements Disposable {
  readonly host: Machine;
  readonly name: string;
  readonly program: Program;

  /** Starts it, and waits until `wg` can speak to it. The interface is down. */
  static async start(
    host: Machine,
    program: string = warrenWg,
    name: string = uniqueName(),
  ): Promise<UserspaceWireguard> {
    const process = host.start(["env", "LOG_LEVEL=verbose", program, "-f", name]);
    await process.line(/UAPI listener started/);
    return new UserspaceWireguard(host, name, process);
  }

  private constructor(host: Machine, name: string, program: Program) {
    this.host = host;
    this.name = name;
    this.program = program;
  }

  /** `wg set` on it. A private key is handed over on standard input, as /dev/stdin. */
  async set(parameters: readonly string[], input = ""): Promise<void> {
    await wg(this.host, ["set", this.name, ...parameters], input);
  }

  /** `wg show` of one field, or of all. */
  show(...field: readonly string[]): Promise<string> {
    return wg(this.host, ["show", this.name, ...field]);
  }

  [Symbol.dispose](): void {
    this.program.kill("SIGKILL");
    rmSync(`/var/run/wireguard/${this.name}.sock`, { force: true }); // it outlives a program that is killed
  }
}

/** Runs `wg` to its end, `input` on a pipe that it can open as /dev/stdin. Throws, with all it said, if it fails. */
export function wg(host: Machine, parameters: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    host.namespace.run(() => {
      const command = ["-c", 'cat | wg "$@"', "wg", ...parameters];
      const child = execFile("sh", command, { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`wg ${parameters.join(" ")} failed: ${stdout}${stderr}`));
      });
      child.stdin?.end(input);
    });
  });
}
