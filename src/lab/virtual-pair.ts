/**
 * Two WireGuard peers without a socket, and a clock that is a number: hours pass in milliseconds. Handshakes, sessions and
 * timers are those that `warren up` runs (`wireguard/device.ts`), which is told the time and asks for none; messages are
 * sealed by the readable twin of its data path (`wireguard/data-path.ts`). They arrive at once. Used where a rule of
 * minutes is to be seen.
 */
import { Cidr, Endpoint, IpAddress } from "../base/address.ts";
import type { DropReason } from "../base/errors.ts";
import { PrivateKey, PublicKey } from "../base/keys.ts";
import { native } from "../crypto/native.ts";
import { AllowedIps } from "../wireguard/allowed-ips.ts";
import type { Random } from "../wireguard/cookies.ts";
import { DataPath } from "../wireguard/data-path.ts";
import { Device } from "../wireguard/device.ts";
import { makeEchoRequest } from "./echo-request.ts";

/** A message that went over. */
export interface VirtualMessage {
  /** Milliseconds of the virtual clock. */
  readonly at: number;
  readonly from: "client" | "server";
  readonly message: Uint8Array;
}

interface Node {
  readonly name: "client" | "server";
  readonly endpoint: Endpoint;
  readonly address: IpAddress;
  readonly device: Device;
  readonly path: DataPath;
}

const trieWords = 64 * 8;
const peerId = 1;
const epoch = 1_750_000_000_000; // of the virtual wall clock

export class VirtualPair {
  now = 0;
  readonly seen: VirtualMessage[] = [];
  /** Packets that came out at the server. */
  delivered = 0;
  readonly #client: Node;
  readonly #server: Node;

  constructor(random: Random) {
    this.#client = this.#makeNode("client", "192.0.2.1:1000", "10.8.0.2", random);
    this.#server = this.#makeNode("server", "203.0.113.10:51820", "10.8.0.1", random);
    this.#introduce(this.#client, this.#server);
    this.#introduce(this.#server, this.#client);
  }

  /** Has the client send a packet of its own into the tunnel now. */
  send(): void {
    this.#offer();
    this.#settle();
  }

  /** The same, but the message is held up on its way: it is returned. Without a session it is an initiation. */
  sendHeld(): Uint8Array | undefined {
    this.#offer();
    const effects = this.#client.path.drain(this.now);
    return effects.find((effect) => effect.kind === "transmit")?.message;
  }

  /** Puts a message before the server as if it came from the client now; returns why it was dropped, if it was. */
  inject(message: Uint8Array): DropReason | undefined {
    const reason = this.#server.path.inbound(this.now, message, this.#client.endpoint);
    this.#settle();
    return reason;
  }

  /** Lets time pass, with all that it brings. */
  pass(milliseconds: number): void {
    const until = this.now + milliseconds;
    for (;;) {
      const deadlines = [this.#client, this.#server].map(({ device }) => device.nextDeadline() ?? until);
      const next = Math.min(...deadlines);
      if (next >= until) break;
      this.now = Math.max(this.now + 1, next);
      for (const { path } of [this.#client, this.#server]) path.expire(this.now);
      this.#settle();
    }
    this.now = until;
  }

  #offer(): void {
    const { path, address } = this.#client;
    path.outbound(this.now, makeEchoRequest(address, this.#server.address, 1, new Uint8Array(56)));
  }

  /** Carries messages over until none is left. */
  #settle(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const node of [this.#client, this.#server]) {
        for (const effect of node.path.drain(this.now)) {
          if (effect.kind === "deliver" && node === this.#server) this.delivered++;
          if (effect.kind !== "transmit") continue;
          moved = true;
          this.seen.push({ at: this.now, from: node.name, message: effect.message });
          this.#other(node).path.inbound(this.now, effect.message, node.endpoint);
        }
      }
    }
  }

  #other(node: Node): Node {
    return node === this.#client ? this.#server : this.#client;
  }

  #makeNode(name: Node["name"], endpoint: string, address: string, random: Random): Node {
    const device = new Device({ primitives: native, random, wallClock: () => epoch + this.now });
    device.setPrivateKey(this.now, new PrivateKey(random(32)));
    const allowedIps = new AllowedIps(new Int32Array(trieWords));
    allowedIps.insert(Cidr.parse("10.8.0.0/24"), peerId);
    const path = new DataPath({ device, primitives: native, allowedIps });
    return { name, endpoint: Endpoint.parse(endpoint), address: IpAddress.parse(address), device, path };
  }

  #introduce(node: Node, other: Node): void {
    const publicKey = other.device.publicKey ?? new PublicKey(new Uint8Array(32));
    node.device.addPeer(this.now, { id: peerId, publicKey, endpoint: other.endpoint });
  }
}
