/** One end at host b, and initiators at host a that know it (`programs/initiators.ts`). */
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { VpnError } from "../src/base/errors.ts";
import { PrivateKey, PublicKey } from "../src/base/keys.ts";
import { native } from "../src/crypto/native.ts";
import { ControlledInterface } from "./controlled-interface.ts";
import { Program } from "./program.ts";
import type { Cast, Outcome, Scene } from "./programs/initiators.ts";
import type { Site } from "./workload.ts";

const initiatorsProgram = fileURLToPath(new URL("programs/initiators.ts", import.meta.url));
/** Lines of one `set=1`, of three to a peer. */
const peersAtOnce = 1000;

export class Responder {
  readonly #end: ControlledInterface;
  readonly #initiators: Program;
  readonly #keys: readonly string[];
  #known = 0;

  /** Starts both; the responder knows none of the `count` initiators yet. */
  static async start({ hosts, contestant, resources, signal }: Site, count: number): Promise<Responder> {
    if (contestant.wireguard === undefined)
      throw new VpnError("invalid-argument", `${contestant.name} is no WireGuard`);
    const { a, b } = hosts;
    const privateKey = new PrivateKey(randomBytes(32));
    const initiators = resources.use(new Program(a.namespace, [process.execPath, initiatorsProgram], signal));
    const publicKey = new PublicKey(native.publicKey(privateKey.bytes)).toString();
    const cast: Cast = { publicKey, endpoint: b.endpoint.toString(), initiators: count };
    initiators.write(JSON.stringify(cast));
    const keys = JSON.parse(await initiators.line()) as string[];
    const end = await ControlledInterface.start(contestant.wireguard, b, resources, signal);
    const secret = Buffer.from(privateKey.bytes).toString("hex");
    await end.configure([`private_key=${secret}`, `listen_port=${b.endpoint.port}`]);
    end.bringUp();
    return new Responder(end, initiators, keys);
  }

  private constructor(end: ControlledInterface, initiators: Program, keys: readonly string[]) {
    this.#end = end;
    this.#initiators = initiators;
    this.#keys = keys;
  }

  /** Makes the first `count` initiators peers of the responder's, each with an address of its own. */
  async know(count: number): Promise<void> {
    while (this.#known < count) {
      const until = Math.min(count, this.#known + peersAtOnce);
      const lines: string[] = [];
      for (let i = this.#known; i < until; i++) {
        lines.push(`public_key=${this.#keys[i]}`, `allowed_ip=10.9.${i >> 8}.${i & 255}/32`);
      }
      await this.#end.configure(lines);
      this.#known = until;
    }
  }

  /** Throws where the responder asked for cookies, or left more than one in a hundred initiations unanswered. */
  async perform(scene: Scene): Promise<Outcome> {
    this.#initiators.write(JSON.stringify(scene));
    const outcome = JSON.parse(await this.#initiators.line()) as Outcome;
    const { answered, cookies, lost } = outcome;
    if (cookies === 0 && lost <= answered / 100) return outcome;
    throw new VpnError("not-available", `${answered} handshakes were answered, ${lost} not, ${cookies} by a cookie`);
  }

  cpuSeconds(): number {
    return this.#end.program.cpuSeconds();
  }

  residentBytes(): number {
    return this.#end.program.residentBytes();
  }
}
