/**
 * Alice and Bob, whole WireGuard nodes without a socket or a clock; the wire between them, which may be slow, lossy and
 * out of order; and Eve, who sees and keeps everything on it. Time passes only in `drive`.
 *
 *    alice 10.0.0.1 fd00::1 ── 192.0.2.1:1001 ═══ eve ═══ 198.51.100.2:2002 ── bob 10.0.0.2 fd00::2
 */
import assert from "node:assert/strict";
import { Cidr, Endpoint, IpAddress } from "../../src/base/address.ts";
import type { DropReason } from "../../src/base/errors.ts";
import { PresharedKey, PrivateKey, type PublicKey } from "../../src/base/keys.ts";
import { native } from "../../src/crypto/native.ts";
import { AllowedIps } from "../../src/wireguard/allowed-ips.ts";
import { DataPath } from "../../src/wireguard/data-path.ts";
import { Device } from "../../src/wireguard/device.ts";
import { messageType } from "../../src/wireguard/messages.ts";
import type { Output, Peer } from "../../src/wireguard/peer.ts";
import { SeededRandom } from "./seeded-random.ts";

/** A datagram as Eve sees it. */
export interface Datagram {
  readonly at: number;
  readonly from: "alice" | "bob";
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly type: number;
  readonly message: Uint8Array;
}

export interface PairOptions {
  readonly seed?: number;
  readonly aliceKey?: PresharedKey;
  readonly bobKey?: PresharedKey;
  /** Bob knows Alice's endpoint too, and not only the other way round. */
  readonly mutual?: boolean;
}

export class Node {
  readonly name: "alice" | "bob";
  readonly device: Device;
  readonly path: DataPath;
  readonly allowedIps: AllowedIps = new AllowedIps(new Int32Array(64 * 8));
  readonly notices: Output[] = [];
  readonly delivered: Uint8Array[] = [];
  readonly inner4: IpAddress;
  readonly inner6: IpAddress;
  endpoint: Endpoint;
  /** Added to the virtual clock to make this node's wall clock. */
  wallOffset = 1_750_000_000_000;
  /** Every drop, in order. */
  readonly drops: DropReason[] = [];

  constructor(name: "alice" | "bob", seed: number, clock: () => number, endpoint: string, inner: number) {
    const random = new SeededRandom(seed);
    this.name = name;
    this.endpoint = Endpoint.parse(endpoint);
    this.inner4 = IpAddress.parse(`10.0.0.${inner}`);
    this.inner6 = IpAddress.parse(`fd00::${inner}`);
    this.device = new Device({
      primitives: native,
      random: (length) => random.bytes(length),
      wallClock: () => clock() + this.wallOffset,
    });
    this.device.setPrivateKey(clock(), new PrivateKey(random.bytes(32)));
    this.path = new DataPath({ device: this.device, primitives: native, allowedIps: this.allowedIps });
  }

  get publicKey(): PublicKey {
    const key = this.device.publicKey;
    assert.ok(key);
    return key;
  }

  /** The other one, as this node knows it. */
  get peer(): Peer {
    const [peer] = this.device.peers;
    assert.ok(peer);
    return peer;
  }

  noticed(kind: Output["kind"]): number {
    return this.notices.filter((notice) => notice.kind === kind).length;
  }
}

export class Pair {
  now = 1_000;
  latencyMs = 10;
  /** Whether this datagram is lost on its way. */
  loses: (datagram: Datagram) => boolean = () => false;
  /** Extra delay in ms, for reordering. */
  delays: (datagram: Datagram) => number = () => 0;
  readonly alice: Node;
  readonly bob: Node;
  /** What Eve saw, lost or not. */
  readonly seen: Datagram[] = [];
  readonly #inFlight: { readonly arrivesAt: number; readonly datagram: Datagram }[] = [];

  constructor({ seed = 1, aliceKey, bobKey, mutual = false }: PairOptions = {}) {
    const clock = () => this.now;
    this.alice = new Node("alice", seed, clock, "192.0.2.1:1001", 1);
    this.bob = new Node("bob", seed + 1_000, clock, "198.51.100.2:2002", 2);
    this.#introduce(this.alice, this.bob, aliceKey, true);
    this.#introduce(this.bob, this.alice, bobKey, mutual);
  }

  /** Sends an IP packet into a node's tunnel; returns why it was dropped, if at once it was. */
  send(from: Node, packet: Uint8Array = this.packet(from)): DropReason | undefined {
    const reason = from.path.outbound(this.now, packet);
    if (reason !== undefined) from.drops.push(reason);
    this.#flush();
    return reason;
  }

  /** An IPv4 packet from one node's inner address to the other's. */
  packet(from: Node, length = 28): Uint8Array {
    return ipv4Packet(from.inner4, this.other(from).inner4, length);
  }

  other(node: Node): Node {
    return node === this.alice ? this.bob : this.alice;
  }

  /** Puts a message on the wire's far end as if it had just arrived. */
  inject(to: Node, message: Uint8Array, source: Endpoint): DropReason | undefined {
    const reason = to.path.inbound(this.now, message, source);
    if (reason !== undefined) to.drops.push(reason);
    this.#flush();
    return reason;
  }

  /** Brings both to a session: Alice sends one packet, which Bob gets. */
  connect(): void {
    this.send(this.alice);
    this.drive(100);
    assert.equal(this.bob.delivered.length, 1, "connected");
  }

  /** Lets so many milliseconds pass, with all that they bring. */
  drive(durationMs: number): void {
    const until = this.now + durationMs;
    this.#flush();
    for (let idle = 0; this.#step(until); ) {
      idle++;
      assert.ok(idle < 100_000, "time stands still");
    }
    this.now = until;
  }

  /** Messages of a type, by sender. */
  sent(from: Node, type: number): Datagram[] {
    return this.seen.filter((datagram) => datagram.from === from.name && datagram.type === type);
  }

  /** Goes to the next arrival or deadline up to `until`; false if there is none. */
  #step(until: number): boolean {
    this.#inFlight.sort((a, b) => a.arrivesAt - b.arrivesAt);
    const [first] = this.#inFlight;
    const deadlines = [this.alice, this.bob].map(({ device }) => device.nextDeadline() ?? Number.POSITIVE_INFINITY);
    const next = Math.min(first?.arrivesAt ?? Number.POSITIVE_INFINITY, ...deadlines);
    if (next > until) return false;
    this.now = Math.max(this.now, next);
    if (first?.arrivesAt === next) this.#arrive();
    else for (const { path } of [this.alice, this.bob]) path.expire(this.now);
    this.#flush();
    return true;
  }

  #arrive(): void {
    const arrival = this.#inFlight.shift();
    assert.ok(arrival);
    const { message, source, destination } = arrival.datagram;
    const to = [this.alice, this.bob].find(({ endpoint }) => endpoint.equals(destination));
    if (to !== undefined) this.inject(to, message, source);
  }

  #flush(): void {
    for (const node of [this.alice, this.bob]) {
      for (const effect of node.path.drain(this.now)) {
        if (effect.kind === "deliver") node.delivered.push(effect.packet);
        else if (effect.kind === "notice") node.notices.push(effect.output);
        else this.#transmit(node, effect.message, effect.endpoint);
      }
    }
  }

  #transmit(node: Node, message: Uint8Array, destination: Endpoint): void {
    const type = messageType(message);
    assert.equal(typeof type, "number", "a node sends only messages");
    const datagram: Datagram = {
      at: this.now,
      from: node.name,
      source: node.endpoint,
      destination,
      type: Number(type),
      message,
    };
    this.seen.push(datagram);
    if (this.loses(datagram)) return;
    this.#inFlight.push({ arrivesAt: this.now + this.latencyMs + this.delays(datagram), datagram });
  }

  #introduce(node: Node, other: Node, presharedKey: PresharedKey = PresharedKey.none, withEndpoint: boolean): void {
    const peer = node.device.addPeer(this.now, {
      id: 7,
      publicKey: other.publicKey,
      presharedKey,
      ...(withEndpoint ? { endpoint: other.endpoint } : {}),
    });
    for (const address of [other.inner4, other.inner6]) node.allowedIps.insert(Cidr.parse(`${address}`), peer.id);
  }
}

/** A UDP-like packet with a recognisable body; nothing below IP matters to WireGuard. */
export function ipv4Packet(source: IpAddress, destination: IpAddress, length: number): Uint8Array {
  const packet = Uint8Array.from({ length }, (_, i) => i & 255);
  packet.set([0x45, 0, length >> 8, length, 0, 0, 0, 0, 64, 17, 0, 0]);
  packet.set(source.bytes, 12);
  packet.set(destination.bytes, 16);
  return packet;
}

export function ipv6Packet(source: IpAddress, destination: IpAddress, length: number): Uint8Array {
  const packet = Uint8Array.from({ length }, (_, i) => i & 255);
  packet.set([0x60, 0, 0, 0, (length - 40) >> 8, length - 40, 17, 64]);
  packet.set(source.bytes, 8);
  packet.set(destination.bytes, 24);
  return packet;
}
