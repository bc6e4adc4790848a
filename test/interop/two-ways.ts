/**
 * A home to which two ways lead from a server, whose own addresses lie behind both, as does a name server's:
 *
 *     home  10.1.0.2, fd01::2  eth0 ------ eth0  10.1.0.1, fd01::1  server  203.0.113.1, 2001:db8:1::1
 *           10.2.0.2           eth1 ------ eth1  10.2.0.1                   203.0.113.53, which has names
 *     home  10.8.0.2 ==== wg0 ==== 10.8.0.1  server
 */
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { Cidr, IpAddress } from "../../src/base/address.ts";
import { PrivateKey } from "../../src/base/keys.ts";
import { type CapturedPacket, PacketSocket } from "../../src/os/packet-socket.ts";
import { Machine, type Program } from "./machine.ts";
import { publicKeyOf } from "./tunnel-pair.ts";
import { WireguardGo } from "./wireguard-go.ts";

export const serverName = "vpn.example.org";
export const serverPort = 51_820;
/** Where the server is at first, and where it may move. */
export const serverAddresses = ["203.0.113.1", "203.0.113.9"] as const;
export const outside = { 4: "203.0.113.77", 6: "2001:db8:1::1" } as const;
const nameServer = "203.0.113.53";
export const everywhere: Cidr = Cidr.parse("0.0.0.0/0");

let made = 0;

export class TwoWays implements Disposable {
  readonly home: Machine;
  readonly server: Machine;
  readonly keys: { readonly home: PrivateKey; readonly server: PrivateKey } = {
    home: new PrivateKey(randomBytes(32)),
    server: new PrivateKey(randomBytes(32)),
  };
  readonly #undo: DisposableStack;
  readonly #interface = `tw${process.pid}n${made++}`; // control sockets of all namespaces lie in one folder

  constructor() {
    using undo = new DisposableStack();
    this.home = undo.use(new Machine());
    this.server = undo.use(new Machine());
    const cable = (name: string, home: string[], server: string[]) =>
      this.home.cable(name, home, { host: this.server, name, addresses: server });
    cable("eth0", ["10.1.0.2/24", "fd01::2/64"], ["10.1.0.1/24", "fd01::1/64"]);
    cable("eth1", ["10.2.0.2/24"], ["10.2.0.1/24"]);
    this.server.setUp("lo", `${serverAddresses[0]}/32`, `${nameServer}/32`, `${outside[4]}/32`, `${outside[6]}/128`);
    this.home.config.routes.add({ destination: everywhere, via: IpAddress.parse("10.1.0.1") });
    this.home.config.routes.add({ destination: Cidr.parse("::/0"), via: IpAddress.parse("fd01::1") });
    this.#undo = undo.move();
  }

  /** What the server knows of its peer, as lines of the control protocol. */
  get #settings(): string[] {
    return [`public_key=${publicKeyOf(this.keys.home).hex}`, "allowed_ip=10.8.0.2/32"];
  }

  /** The server's wireguard-go, ready to be spoken to. */
  async serve(program: string): Promise<WireguardGo> {
    const key = Buffer.from(this.keys.server.bytes).toString("hex");
    const settings = [`private_key=${key}`, `listen_port=${serverPort}`, ...this.#settings];
    const peer = this.#undo.use(await WireguardGo.start(this.server, program, this.#interface, settings));
    this.server.setUp(this.#interface, "10.8.0.1/24");
    return peer;
  }

  /** A name server on one of the server's addresses, which has one name; by default the server's own. */
  async names(
    listen: string = nameServer,
    name: string = serverName,
    address: string = serverAddresses[0],
  ): Promise<Program> {
    const path = fileURLToPath(new URL("./name-server.ts", import.meta.url));
    const program = this.server.start([process.execPath, path, listen, name]);
    await program.line(/listening/);
    program.write(address);
    await program.line(/is at/);
    return program;
  }

  /**
   * The server is started anew under its other address, and its name follows. Since it has forgotten the home, it cannot
   * be the one that calls.
   */
  async move(peer: WireguardGo, names: Program): Promise<void> {
    const lo = this.server.indexOf("lo");
    this.server.config.addresses.add(lo, Cidr.parse(`${serverAddresses[1]}/32`));
    this.server.config.addresses.remove(lo, Cidr.parse(`${serverAddresses[0]}/32`));
    await this.forget(peer);
    names.write(serverAddresses[1]);
    await names.line(/is at/);
  }

  /** The server forgets its sessions, and where the home is. */
  forget(peer: WireguardGo): Promise<void> {
    return peer.set("replace_peers=true", ...this.#settings);
  }

  /** What arrives at the server's end of a cable, from now on. */
  capture(device: string): PacketSocket {
    return this.server.namespace.run(() => PacketSocket.open({ device: this.server.indexOf(device) }));
  }

  [Symbol.dispose](): void {
    this.#undo.dispose();
  }
}

/** The payload of a UDP datagram over IPv4 to one of these ports; `undefined` for anything else. */
export function udpPayload({ bytes, outgoing }: CapturedPacket, port: number): Uint8Array | undefined {
  const isUdp = !outgoing && bytes[0] === 0x45 && bytes[9] === 17;
  return isUdp && ((bytes[22] << 8) | bytes[23]) === port ? bytes.subarray(28) : undefined;
}

/** Pings twice a second until an answer comes, and returns the seconds that took. */
export async function secondsUntilAnswer(from: Machine, address: string): Promise<number> {
  const began = performance.now();
  const pings = from.start(["ping", "-n", "-i", "0.5", address]);
  await pings.line(/bytes from/);
  pings.kill("SIGINT");
  return (performance.now() - began) / 1000;
}
