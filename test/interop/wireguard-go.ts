/**
 * wireguard-go as the other side: started in a host, set up and asked through its control socket
 * (https://www.wireguard.com/xplatform/), which lies in /var/run/wireguard whatever the network namespace.
 */
import { mkdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { requireProgram } from "../requirements.ts";
import type { Machine } from "./machine.ts";

const sockets = "/var/run/wireguard";

/** The programs to be tested against: Debian's, and one more that WARREN_WIREGUARD_GO may name. */
export const wireguardGoPrograms: readonly string[] = [
  "wireguard-go",
  ...(process.env.WARREN_WIREGUARD_GO === undefined ? [] : [process.env.WARREN_WIREGUARD_GO]),
];

/** Whether this one is there. */
export function requireWireguardGo(t: TestContext, program: string): boolean {
  return program.includes("/") || requireProgram(t, program, "wireguard-go") !== undefined;
}

export class WireguardGo implements Disposable {
  readonly name: string;

  /** Starts it and configures it with lines of the control protocol, such as `listen_port=51820`. */
  static async start(host: Machine, program: string, name: string, settings: readonly string[]): Promise<WireguardGo> {
    mkdirSync(sockets, { recursive: true, mode: 0o700 });
    const process = host.start(["env", "LOG_LEVEL=verbose", program, "-f", name]);
    await process.line(/UAPI listener started/);
    const peer = new WireguardGo(name);
    await peer.#request(["set=1", ...settings]);
    return peer;
  }

  private constructor(name: string) {
    this.name = name;
  }

  async set(...settings: string[]): Promise<void> {
    await this.#request(["set=1", ...settings]);
  }

  /** One value of its only peer, such as `last_handshake_time_sec` or `endpoint`; undefined if it has none. */
  async get(key: string): Promise<string | undefined> {
    const answer = await this.#request(["get=1"]);
    return new RegExp(`^${key}=(.*)$`, "m").exec(answer)?.[1];
  }

  /** Removes the socket's file, which outlives a program that is killed. */
  [Symbol.dispose](): void {
    rmSync(`${sockets}/${this.name}.sock`, { force: true });
  }

  async #request(lines: readonly string[]): Promise<string> {
    const socket = connect(`${sockets}/${this.name}.sock`);
    socket.end(`${lines.join("\n")}\n\n`);
    const answer = await text(socket);
    if (!/^errno=0$/m.test(answer)) throw new Error(`${this.name} refused ${lines.join(" ")}: ${answer}`);
    return answer;
  }
}
