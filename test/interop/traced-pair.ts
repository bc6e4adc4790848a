/**
 * Two drop-in tunnels with control sockets, on the hosts of an underlay, for what looks at them from beside:
 *
 *     left  NAMEl  10.8.0.1, fd08::1 ====== 10.8.0.2, fd08::2  NAMEr  right
 */
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { PrivateKey } from "../../src/base/keys.ts";
import type { Machine, Program } from "./machine.ts";
import { inside, publicKeyOf } from "./tunnel-pair.ts";
import { endpointOf, Underlay } from "./underlay.ts";
import { warrenCommand } from "./warren-process.ts";
import { WireguardGo } from "./wireguard-go.ts";

const warrenWg = fileURLToPath(new URL("../../bin/warren-wg", import.meta.url));
const ports = { left: 5001, right: 5002 } as const;
type Side = keyof typeof ports;

let made = 0;

export class TracedPair implements Disposable {
  readonly underlay: Underlay = new Underlay();
  /** The interfaces' names, and their keys as the other side knows them. */
  readonly names: Readonly<Record<Side, string>>;
  readonly publicKeys: Readonly<Record<Side, string>>;
  readonly #ends: Disposable[] = [];
  readonly #keys = { left: new PrivateKey(randomBytes(32)), right: new PrivateKey(randomBytes(32)) };

  /** Brings both ends up; only the left is told where the other is. */
  static async open(programs: Readonly<Partial<Record<Side, string>>> = {}): Promise<TracedPair> {
    using undo = new DisposableStack();
    const pair = undo.use(new TracedPair());
    for (const side of ["left", "right"] as const) await pair.#start(side, programs[side] ?? warrenWg);
    undo.move();
    return pair;
  }

  private constructor() {
    const base = `tr${process.pid}n${made++}`;
    this.names = { left: `${base}l`, right: `${base}r` };
    this.publicKeys = {
      left: publicKeyOf(this.#keys.left).toString(),
      right: publicKeyOf(this.#keys.right).toString(),
    };
  }

  get left(): Machine {
    return this.underlay.left;
  }

  get right(): Machine {
    return this.underlay.right;
  }

  /** Starts `warren trace` on a side and waits until it looks. */
  async trace(side: Side, ...options: string[]): Promise<Program> {
    const program = this[side].start(warrenCommand([], "trace", this.names[side], ...options));
    if (!options.includes("--json")) await program.line(/^looking at /);
    else await program.line(/"event":"begin"/);
    return program;
  }

  async #start(side: Side, program: string): Promise<void> {
    const other = side === "left" ? "right" : "left";
    const host = this[side];
    const name = this.names[side];
    const end = await WireguardGo.start(host, program, name, [
      `private_key=${Buffer.from(this.#keys[side].bytes).toString("hex")}`,
      `listen_port=${ports[side]}`,
      `public_key=${publicKeyOf(this.#keys[other]).hex}`,
      ...(side === "left" ? [`endpoint=${endpointOf("right", 4, ports.right)}`] : []),
      ...[4, 6].map((family) => `allowed_ip=${inside[other][family as 4 | 6]}/${family === 4 ? 32 : 128}`),
    ]);
    this.#ends.push(end);
    host.setUp(name, `${inside[side][4]}/24`, `${inside[side][6]}/64`);
  }

  [Symbol.dispose](): void {
    this.underlay[Symbol.dispose]();
    for (const end of this.#ends) end[Symbol.dispose]();
  }
}
