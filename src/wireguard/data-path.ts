/**
 * The readable data path: a whole WireGuard node in one object, for simulations, and the twin that the worker threads of
 * `dataplane/` are compared with. It seals and opens data messages (whitepaper §5.4.6), keeps to the limits of §6, and
 * leaves all else to the `Device`. It allocates freely; packets in production do not come this way.
 */
import type { Endpoint } from "../base/address.ts";
import { concatBytes } from "../base/bytes.ts";
import type { DropReason } from "../base/errors.ts";
import { nonceOf, type Primitives } from "../crypto/primitives.ts";
import { noteReceived, noteSent } from "./activity.ts";
import type { AllowedIps } from "./allowed-ips.ts";
import {
  CounterLimit,
  KeepaliveTimeout,
  type Milliseconds,
  PaddingMultiple,
  RejectAfterMessages,
  RejectAfterTime,
  RekeyAfterMessages,
  RekeyAfterTime,
  RekeyTimeout,
} from "./constants.ts";
import type { Device } from "./device.ts";
import { InnerPacket, innerPacketLength } from "./inner-packet.ts";
import type { Keypair } from "./keypair.ts";
import { Data, messageType, readCounter, readUint32, writeCounter, writeUint32 } from "./messages.ts";
import type { Output, Peer } from "./peer.ts";
import { acceptCounter } from "./replay-window.ts";

export interface DataPathOptions {
  readonly device: Device;
  readonly primitives: Primitives;
  readonly allowedIps: AllowedIps;
  /** The inner MTU: padding does not make a packet longer than this. */
  readonly mtu?: number;
}

/** What is to be done: send a message, hand a packet to the TUN device, or take note. */
export type Effect =
  | { kind: "transmit"; message: Uint8Array; endpoint: Endpoint }
  | { kind: "deliver"; packet: Uint8Array; peer: Peer }
  | { kind: "notice"; output: Output };

const nothing = new Uint8Array(0);

export class DataPath {
  readonly drops: Map<DropReason, number> = new Map();
  readonly #device: Device;
  readonly #primitives: Primitives;
  readonly #allowedIps: AllowedIps;
  readonly #mtu: number;
  readonly #sessions = new Map<number, { readonly peer: Peer; readonly keypair: Keypair }>();
  readonly #selected = new Map<Peer, Keypair>();
  #effects: Effect[] = [];

  constructor({ device, primitives, allowedIps, mtu = 1420 }: DataPathOptions) {
    this.#device = device;
    this.#primitives = primitives;
    this.#allowedIps = allowedIps;
    this.#mtu = mtu;
  }

  /** A packet from the TUN device. */
  outbound(now: Milliseconds, packet: Uint8Array): DropReason | undefined {
    return this.#counted(this.#outbound(now, packet));
  }

  /** A message from the network. */
  inbound(now: Milliseconds, message: Uint8Array, source: Endpoint): DropReason | undefined {
    const type = messageType(message);
    if (type !== Data.type) return this.#counted(this.#device.receive(now, message, source));
    return this.#counted(this.#open(now, message, source));
  }

  expire(now: Milliseconds): void {
    this.#device.expire(now);
  }

  /** What is to be done, in order, after any call to this object or its device. */
  drain(now: Milliseconds): Effect[] {
    for (let outputs = this.#device.drain(); outputs.length > 0; outputs = this.#device.drain()) {
      for (const output of outputs) this.#apply(now, output);
    }
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #outbound(now: Milliseconds, packet: Uint8Array): DropReason | undefined {
    if (innerPacketLength(packet, 0, packet.length) !== packet.length) return "packet-malformed";
    const isV4 = packet[0] >>> 4 === 4;
    const at = isV4 ? InnerPacket.v4Destination : InnerPacket.v6Destination;
    const peer = this.#device.peerById(this.#allowedIps.lookup(packet, at, isV4 ? 4 : 6));
    return peer === undefined ? "packet-no-peer" : this.#send(now, peer, packet);
  }

  #send(now: Milliseconds, peer: Peer, packet: Uint8Array): DropReason | undefined {
    const keypair = this.#selected.get(peer);
    if (keypair === undefined || !keypair.canSend(now)) {
      if (packet.length > 0) return this.#device.send(now, peer, packet);
      this.#device.freshen(now, peer);
      return undefined;
    }
    const { endpoint } = peer;
    if (endpoint === undefined) return "peer-no-endpoint";
    this.#effects.push({ kind: "transmit", message: this.#seal(keypair, packet), endpoint });
    noteSent(peer.activity, now, packet.length > 0);
    const isOld = keypair.isInitiator && now - keypair.createdAt >= RekeyAfterTime;
    if (isOld || keypair.sendCounter > RekeyAfterMessages) this.#device.freshen(now, peer);
    return undefined;
  }

  #seal(keypair: Keypair, packet: Uint8Array): Uint8Array {
    const rounded = Math.ceil(packet.length / PaddingMultiple) * PaddingMultiple;
    const padded = new Uint8Array(Math.max(packet.length, Math.min(rounded, this.#mtu)));
    padded.set(packet);
    const counter = keypair.sendCounter++;
    const header = new Uint8Array(Data.payload);
    writeUint32(header, 0, Data.type);
    writeUint32(header, Data.receiver, keypair.remoteIndex);
    writeCounter(header, Data.counter, counter);
    return concatBytes(header, this.#primitives.seal(keypair.sendKey, nonceOf(counter), padded, nothing));
  }

  #open(now: Milliseconds, message: Uint8Array, source: Endpoint): DropReason | undefined {
    const session = this.#sessions.get(readUint32(message, Data.receiver));
    if (session === undefined) return "index-unknown";
    const { peer, keypair } = session;
    if (!keypair.isLive(now)) return "keypair-expired";
    const counter = readCounter(message, Data.counter);
    if (counter >= CounterLimit || counter >= RejectAfterMessages) return "counter-too-large";
    const sealed = message.subarray(Data.payload);
    const padded = this.#primitives.open(keypair.receiveKey, nonceOf(counter), sealed, nothing);
    if (padded === undefined) return "message-undecryptable";
    if (!acceptCounter(keypair.replayWindow, 0, counter)) return "message-replayed";
    noteReceived(peer.activity, now, padded.length > 0);
    this.#device.roam(now, peer, source);
    this.#device.confirm(now, keypair.localIndex);
    this.#freshenOnReceive(now, peer);
    return padded.length === 0 ? undefined : this.#deliver(peer, padded);
  }

  /** The initiator renews a session that would not outlive another silence, even if it has nothing to send itself. */
  #freshenOnReceive(now: Milliseconds, peer: Peer): void {
    const keypair = peer.current;
    const renewAfter = RejectAfterTime - KeepaliveTimeout - RekeyTimeout;
    if (keypair?.isInitiator && now - keypair.createdAt >= renewAfter) this.#device.freshen(now, peer);
  }

  #deliver(peer: Peer, padded: Uint8Array): DropReason | undefined {
    const length = innerPacketLength(padded, 0, padded.length);
    if (length < 0) return "packet-malformed";
    const isV4 = padded[0] >>> 4 === 4;
    const at = isV4 ? InnerPacket.v4Source : InnerPacket.v6Source;
    if (this.#allowedIps.lookup(padded, at, isV4 ? 4 : 6) !== peer.id) return "packet-wrong-source";
    this.#effects.push({ kind: "deliver", packet: padded.subarray(0, length), peer });
    return undefined;
  }

  #apply(now: Milliseconds, output: Output): void {
    switch (output.kind) {
      case "transmit":
        this.#effects.push({ kind: "transmit", message: output.message, endpoint: output.endpoint });
        return;
      case "seal":
        this.#counted(this.#send(now, output.peer, output.packet));
        return;
      case "keypair-added":
        this.#sessions.set(output.keypair.localIndex, { peer: output.peer, keypair: output.keypair });
        break;
      case "keypair-selected":
        if (output.keypair === undefined) this.#selected.delete(output.peer);
        else this.#selected.set(output.peer, output.keypair);
        break;
      case "keypair-removed":
        this.#sessions.delete(output.keypair.localIndex);
        output.keypair.wipe();
        break;
      case "handshake-failed":
        this.#count("peer-unreachable", output.discarded);
        break;
    }
    this.#effects.push({ kind: "notice", output });
  }

  #counted(reason: DropReason | undefined): DropReason | undefined {
    if (reason !== undefined) this.#count(reason, 1);
    return reason;
  }

  #count(reason: DropReason, times: number): void {
    if (times > 0) this.drops.set(reason, (this.drops.get(reason) ?? 0) + times);
  }
}
