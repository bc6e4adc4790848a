/**
 * The protocol at work: a `Device`, the packet path it rules, and the only clock.
 *
 * The workers stamp what they do into shared memory; main looks at the stamps at least once a second while any session
 * lives, asks the protocol for its next deadline, and sleeps until then. The stamps are exact and no timeout is shorter
 * than ten seconds after one, so looking late makes no deadline late.
 */
import { randomFillSync } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Endpoint } from "../base/address.ts";
import { type DropReason, dropReasons, VpnError } from "../base/errors.ts";
import type { PrivateKey, PublicKey } from "../base/keys.ts";
import { ArenaPrimitives } from "../dataplane/arena-primitives.ts";
import { DataPlane, type Requests } from "../dataplane/data-plane.ts";
import { decodeEndpoint, encodeEndpoint } from "../dataplane/endpoint-record.ts";
import { HandshakePool } from "../dataplane/handshake-pool.ts";
import { publishMac1Key } from "../dataplane/mac1-door.ts";
import type { AeadName } from "../dataplane/packet-aead.ts";
import { Control } from "../dataplane/shared-memory.ts";
import { bootTime } from "../os/clock.ts";
import type { TunDevice } from "../os/tun-device.ts";
import { kernelsUrl } from "../packet/kernels.ts";
import type { UdpTransport } from "../transport/udp.ts";
import { mac1KeyOf } from "../wireguard/cookies.ts";
import { Device } from "../wireguard/device.ts";
import { createResponse } from "../wireguard/handshake.ts";
import { Initiation, messageType } from "../wireguard/messages.ts";
import type { Output, Peer } from "../wireguard/peer.ts";
import { OffloadStatus, superPackets } from "./offload-status.ts";
import type { PeerPathsReport, TunnelPaths } from "./path-report.ts";
import type { PeerObservation } from "./persistence-state.ts";

const lookEveryMs = 1000;
/** After requests: a look costs time for every live peer, so that strangers must not make us look at each datagram. */
const lookSoonMs = 50;
/** What a handshake message takes in the ring, more or less. */
const messageBytes = 200;
/** As many bytes of handshake messages waiting mean a flood: 128 initiations, an eighth of wireguard-go's queue. */
const loadThreshold = 128 * messageBytes;
/** As many waiting are more than one thread should be left alone with. */
const staffThreshold = 8 * messageBytes;

export interface ProtocolDriverOptions {
  readonly maximumPeers: number;
  readonly mtu: number;
  readonly tun: TunDevice;
  readonly transport: UdpTransport;
  readonly aead: AeadName | undefined;
  readonly paths: TunnelPaths | undefined;
  /** See `DataPlaneOptions.workers`. */
  readonly workers: number | undefined;
  /** A worker has failed: no packet will pass any more. */
  readonly fail: (error: VpnError) => void;
  /** Told in a line of what turned out to be broken, and is done without. */
  readonly warn: (line: string) => void;
  /** Told in a line of what the protocol does. */
  readonly log: ((line: string) => void) | undefined;
}

export class ProtocolDriver {
  readonly device: Device;
  readonly plane: DataPlane;
  readonly offloads: OffloadStatus;
  readonly #transport: UdpTransport;
  readonly #paths: TunnelPaths | undefined;
  readonly #fail: (error: VpnError) => void;
  readonly #warn: (line: string) => void;
  readonly #log: ((line: string) => void) | undefined;
  readonly #primitives = new ArenaPrimitives();
  readonly #pool: HandshakePool;
  #timer: NodeJS.Timeout | undefined;
  #isEnding = false;
  #isLookingSoon = false;

  /** Lays out what is shared; no thread runs yet. */
  constructor({ maximumPeers, mtu, tun, transport, aead, workers, paths, fail, warn, log }: ProtocolDriverOptions) {
    this.#transport = transport;
    this.#paths = paths;
    this.#fail = fail;
    this.#warn = warn;
    this.#log = log;
    this.offloads = new OffloadStatus(tun, transport, { say: warn, note: log ?? (() => undefined) });
    const primitives = this.#primitives;
    this.device = new Device({
      primitives,
      respond: (peer, opened, input, done) => this.#pool.respond(peer, opened, input, done),
      random: (length) => randomFillSync(new Uint8Array(length)),
      wallClock: () => Date.now(),
      maximumPeers,
    });
    this.plane = new DataPlane({
      maximumPeers,
      mtu,
      kernels: new WebAssembly.Module(readKernels()),
      tun: tun.fd,
      virtioHeader: tun.virtioHeader,
      sockets: transport.descriptors,
      segmentation: transport.offloads.segmentation,
      offloads: superPackets(tun),
      aead,
      workers,
      requests: this.#requests(),
    });
    this.#pool = new HandshakePool({
      wake: { words: this.plane.memory.words, index: Control.wake },
      inPlace: (peer, opened, input, done) => done(createResponse(primitives, peer, opened, input)),
    });
  }

  /** Starts the workers; resolves when packets can pass. */
  async start(): Promise<void> {
    await this.plane.start();
    for (const name of this.plane.failedAeads) {
      this.#warn(`the ${name} provider of ChaCha20-Poly1305 fails its self-test; ${this.plane.aead} is used instead`);
    }
    this.#look();
  }

  /** Does what the protocol asks for, after any call to it, and sees to the deadlines that the call may have moved. */
  settle(): void {
    this.#pool.collect();
    for (const output of this.device.drain()) this.#apply(output);
    this.#lookSoon();
  }

  /** See `Device.setPrivateKey`. */
  setPrivateKey(key: PrivateKey | undefined): void {
    this.device.setPrivateKey(bootTime(), key);
    const { publicKey } = this.device;
    publishMac1Key(this.plane.memory, publicKey && mac1KeyOf(this.#primitives, publicKey));
  }

  /** See `Device.shakeHands`. */
  shakeHands(peer: Peer): boolean {
    const hasBegun = this.device.shakeHands(bootTime(), peer);
    this.settle();
    return hasBegun;
  }

  /** See `Tunnel.liveness`. */
  liveness(key: PublicKey): PeerObservation | undefined {
    const peer = this.device.peer(key);
    if (peer === undefined) return undefined;
    const { receivedAt, unansweredSince } = peer.activity;
    return { endpoint: peer.endpoint, receivedAt, unansweredSince, isShakingHands: peer.isShakingHands };
  }

  /** An endpoint as it is to be shown: where a stream carries the datagrams on, with what is known of it now. */
  resolve(endpoint: Endpoint | undefined): Endpoint | undefined {
    return endpoint && (this.#paths?.handovers.resolve(endpoint) ?? endpoint);
  }

  /** See `TunnelPaths.report`. */
  pathsReport(): Readonly<Record<string, PeerPathsReport>> {
    return this.#paths?.report() ?? {};
  }

  /** The first step of the end: no deadline is met any more. */
  end(): void {
    this.#isEnding = true;
    clearTimeout(this.#timer);
  }

  /** The last step: ends all threads and erases what they worked in. */
  async stop(): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
    await this.plane.stop();
    this.#primitives[Symbol.dispose]();
  }

  /** Sees to whatever is due, and sleeps until the next deadline, or until the stamps are to be looked at again. */
  #look(): void {
    if (this.#isEnding) return;
    const now = bootTime();
    this.device.expire(now);
    for (const output of this.device.drain()) this.#apply(output);
    this.#isLookingSoon = false;
    clearTimeout(this.#timer);
    const deadline = this.device.nextDeadline();
    if (deadline === undefined) return; // nothing lives: whatever begins will say so
    const tookMs = bootTime() - now; // where more is due than one look sees to, others have as long as that took
    const waitMs = Math.min(lookEveryMs, Math.max(1, tookMs, deadline - now - tookMs));
    this.#timer = setTimeout(() => this.#look(), waitMs);
  }

  /** Looks before long: what was asked for may have brought a deadline nearer than the one slept for. */
  #lookSoon(): void {
    if (this.#isEnding || this.#isLookingSoon) return;
    this.#isLookingSoon = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), lookSoonMs);
  }

  /** What the workers ask, put to the protocol. */
  #requests(): Requests {
    const peerOf = (id: number) => this.device.peerById(id);
    return {
      handshake: (message, from, waiting) => {
        if (waiting > staffThreshold) void this.#pool.staff();
        if (waiting + this.#pool.waiting * messageBytes > loadThreshold) this.device.noteLoad(bootTime());
        const source = this.#endpointOf(from);
        if (source !== undefined) this.#count(this.device.receive(bootTime(), message, source));
        this.settle(); // answers leave at once, and a flood of them does not pile up
      },
      stage: (id, packet) => {
        const peer = peerOf(id);
        if (peer !== undefined) this.#count(this.device.send(bootTime(), peer, packet));
      },
      confirm: (localIndex) => this.device.confirm(bootTime(), localIndex),
      freshen: (id) => {
        const peer = peerOf(id);
        if (peer !== undefined) this.device.freshen(bootTime(), peer);
      },
      roam: (id, from) => {
        const peer = peerOf(id);
        const endpoint = this.#endpointOf(from);
        if (peer !== undefined && endpoint !== undefined) this.device.roam(bootTime(), peer, endpoint);
      },
      settle: () => this.settle(),
      withdraw: (fault) => this.offloads.withdraw(fault),
      fail: (error) =>
        this.#fail(error instanceof VpnError ? error : new VpnError("worker-failed", String(error), { cause: error })),
    };
  }

  /** Where a worker heard somebody, as it is to be remembered and shown. */
  #endpointOf(record: Uint8Array): Endpoint | undefined {
    return this.resolve(decodeEndpoint(record));
  }

  #apply(output: Output): void {
    const { keypairs, peers } = this.plane;
    if (this.#log !== undefined) logOutput(output, this.#log);
    switch (output.kind) {
      case "transmit":
        if (!this.#transport.send(output.message, output.endpoint)) this.#count("send-failed");
        break;
      case "seal":
        if (!this.plane.seal(output.peer.id, output.packet)) this.#count("staging-full");
        break;
      case "keypair-added":
        if (!keypairs.add(output.peer.id, output.keypair)) this.#count("keypair-table-full");
        break;
      case "keypair-selected":
        keypairs.select(output.peer.id, output.keypair);
        break;
      case "keypair-removed":
        keypairs.remove(output.keypair);
        break;
      case "endpoint-changed":
        peers.setEndpoint(output.peer.id, encodeEndpoint(output.endpoint));
        break;
      case "handshake-failed":
        this.#count("peer-unreachable", output.discarded);
        break;
      case "path-answered":
        this.#paths?.answered(output.peer.publicKey, output.endpoint, output.roundTripMs);
        break;
      case "handshake-completed":
        break; // for the log
    }
  }

  #count(reason: DropReason | undefined, packets = 1): void {
    if (reason === undefined) return;
    const { floats } = this.plane.memory;
    floats[this.plane.memory.dropRow("main") + dropReasons.indexOf(reason)] += packets;
  }
}

/** What of the protocol's wishes is worth a line. */
function logOutput(output: Output, log: (line: string) => void): void {
  if (output.peer === undefined) return;
  const say = (text: string) => log(`peer ${output.peer?.publicKey.short}: ${text}`);
  switch (output.kind) {
    case "transmit": {
      const isInitiation = messageType(output.message) === Initiation.type;
      say(`sending handshake ${isInitiation ? "initiation" : "response"} to ${output.endpoint}`);
      break;
    }
    case "handshake-completed":
      say("handshake completed");
      break;
    case "handshake-failed":
      say(`handshake given up; ${output.discarded} packets dropped`);
      break;
    case "endpoint-changed":
      say(`is now at ${output.endpoint}`);
  }
}

function readKernels(): Uint8Array {
  try {
    return readFileSync(kernelsUrl);
  } catch (error) {
    throw new VpnError("not-available", "the compiled SIMD kernels are missing", {
      remedy: "run `npm run prepare` in the checkout",
      cause: error,
    });
  }
}
