/**
 * One end made by a `WireguardProgram`: started in a host, configured by the control protocol
 * (https://www.wireguard.com/xplatform/), and brought up.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { VpnError } from "../src/base/errors.ts";
import { PrivateKey, PublicKey } from "../src/base/keys.ts";
import { native } from "../src/crypto/native.ts";
import { InterfaceConfig } from "../src/os/interface-config.ts";
import { setUpInterface } from "../src/tunnel/interface-setup.ts";
import type { Contestant, WireguardProgram } from "./contestant.ts";
import type { Program } from "./program.ts";
import { type Host, mtu } from "./two-hosts.ts";

const patienceMs = 20_000;

export class ControlledInterface {
  readonly program: Program;
  readonly #host: Host;
  readonly #name: string;

  /** Starts the program, which belongs to `resources`, and waits until it can be configured. Its interface is down. */
  static async start(
    { start }: WireguardProgram,
    host: Host,
    resources: AsyncDisposableStack,
    signal: AbortSignal,
  ): Promise<ControlledInterface> {
    const name = nameAt(host);
    rmSync(socketOf(name), { force: true }); // it outlives a program that was killed
    const end = new ControlledInterface(resources.use(start(host, name, signal)), host, name);
    await end.program.until(() => existsSync(socketOf(name)));
    return end;
  }

  private constructor(program: Program, host: Host, name: string) {
    this.program = program;
    this.#host = host;
    this.#name = name;
  }

  /** Sends lines of one `set=1`. */
  async configure(lines: readonly string[]): Promise<void> {
    await ask(this.#name, ["set=1", ...lines]);
  }

  /** Gives the interface its MTU and its host's addresses, and brings it up. */
  bringUp(): void {
    const { namespace, v4, v6 } = this.#host;
    using config = namespace.run(InterfaceConfig.open);
    const index = config.links.find(this.#name)?.index ?? 0;
    namespace.run(() => setUpInterface({ index, name: this.#name, mtu, addresses: [v4, v6], routes: [] }));
  }
}

/** Sends lines to an end's control socket: an empty one ends them. `errno=0` in the answer is success. */
async function ask(name: string, lines: readonly string[]): Promise<string> {
  const connection = await connectTo(socketOf(name));
  connection.end(`${lines.join("\n")}\n\n`);
  const answer = await text(connection);
  if (/^errno=0$/m.test(answer)) return answer;
  throw new VpnError("not-available", `${name} refused ${lines[0]} (${answer.trim()})`);
}

/** A socket that has a name may not be listened on yet. */
async function connectTo(path: string): Promise<Socket> {
  for (const deadline = performance.now() + patienceMs; ; await delay(2)) {
    const connection = createConnection(path);
    try {
      await once(connection, "connect");
      return connection;
    } catch (error) {
      connection.destroy();
      if (performance.now() > deadline)
        throw new VpnError("not-available", `nobody listens on ${path}`, { cause: error });
    }
  }
}

/** The socket is named after the interface, and both ends share one /run: so their names differ. */
function nameAt(host: Host): string {
  return `bench-${host.name}`;
}

function socketOf(name: string): string {
  return `/run/wireguard/${name}.sock`;
}

/** What warren says of itself at a host, as JSON. */
export async function askStatus(host: Host): Promise<string> {
  return /^result=(.*)$/m.exec(await ask(nameAt(host), ["warren=status"]))?.[1] ?? "";
}

/** One end after the other, so that neither's start is measured beside the other's. */
export function openWith(program: WireguardProgram): Contestant["open"] {
  return async ({ a, b }, resources, signal) => {
    const [keyA, keyB] = [new PrivateKey(randomBytes(32)), new PrivateKey(randomBytes(32))];
    const open = async (host: Host, key: PrivateKey, peer: Host, peerKey: PrivateKey): Promise<Program> => {
      const end = await ControlledInterface.start(program, host, resources, signal);
      await end.configure([
        `private_key=${Buffer.from(key.bytes).toString("hex")}`,
        `listen_port=${host.endpoint.port}`,
        `public_key=${new PublicKey(native.publicKey(peerKey.bytes)).hex}`,
        `endpoint=${peer.endpoint}`,
        `allowed_ip=${peer.v4.address}/32`,
        `allowed_ip=${peer.v6.address}/128`,
      ]);
      end.bringUp();
      return end.program;
    };
    const begun = performance.now();
    const programB = await open(b, keyB, a, keyA);
    const between = performance.now();
    const programA = await open(a, keyA, b, keyB);
    return { a: programA, b: programB, readyMs: [performance.now() - between, between - begun] };
  };
}
