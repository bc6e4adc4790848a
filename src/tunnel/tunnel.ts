/**
 * One live interface: a TUN device, a UDP port, the protocol and the packet path, wired together.
 *
 * Here is the only clock. The workers stamp what they do into shared memory; main looks at the stamps at least once a
 * second, asks the protocol for its next deadline, and sleeps until then. The stamps are exact and no timeout is
 * shorter than ten seconds after one, so looking late makes no deadline late.
 */
import { randomFillSync } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Cidr, Endpoint } from "../base/address.ts";
import { type DropReason, dropReasons, VpnError } from "../base/errors.ts";
import type { PresharedKey, PrivateKey, PublicKey } from "../base/keys.ts";
import { native } from "../crypto/native.ts";
import { DataPlane, type Requests } from "../dataplane/data-plane.ts";
import type { AeadName } from "../dataplane/packet-aead.ts";
import type { WorkerReport } from "../dataplane/shared-memory.ts";
import { bootTime } from "../os/clock.ts";
import { type LinkEvent, watchLink } from "../os/link-watch.ts";
import { TunDevice } from "../os/tun-device.ts";
import { kernelsUrl } from "../packet/kernels.ts";
import type { SuperPacketKinds } from "../packet/virtio-header.ts";
import { UdpTransport } from "../transport/udp.ts";
import { Device } from "../wireguard/device.ts";
import type { Output } from "../wireguard/peer.ts";
import { Forwarding } from "./forwarding.ts";
import { setUpInterface } from "./interface-setup.ts";

/** What fits an Ethernet of 1,500 bytes with IPv6 outside. */
export const defaultMtu = 1420;
const defaultMaximumPeers = 16_384;
const lookEveryMs = 1000;
/** After requests: a look costs time for every live peer, so that strangers must not make us look at each datagram. */
const lookSoonMs = 50;
/** As many bytes of handshake messages waiting mean a flood: 128 initiations, an eighth of wireguard-go's queue. */
const loadThreshold = 128 * 200;

export interface TunnelPeerOptions {
  readonly publicKey: PublicKey;
  readonly presharedKey?: PresharedKey | undefined;
  readonly endpoint?: Endpoint | undefined;
  readonly allowedIps: readonly Cidr[];
  /** 0 or absent: none. */
  readonly persistentKeepaliveSeconds?: number | undefined;
}

export interface TunnelOptions {
  /** Of the interface to create; `wg%d` takes the first free number. */
  readonly name: string;
  readonly privateKey: PrivateKey;
  /** 0 or absent lets the kernel choose. */
  readonly listenPort?: number | undefined;
  /** Firewall mark of the datagrams. */
  readonly mark?: number | undefined;
  readonly mtu?: number | undefined;
  readonly addresses?: readonly Cidr[];
  /** Whether every allowed IP gets a route into the tunnel. */
  readonly routeAllowedIps?: boolean;
  /** Forward what peers send, hidden behind this machine's own addresses. */
  readonly forward?: boolean;
  readonly peers?: readonly TunnelPeerOptions[];
  readonly maximumPeers?: number;
  /** Takes one provider of the cipher instead of the fastest that works. */
  readonly aead?: AeadName | undefined;
}

export interface PeerStatus {
  readonly publicKey: string;
  readonly endpoint: string | undefined;
  /** Wall clock, ms since 1970; undefined if there was none. */
  readonly lastHandshakeAt: number | undefined;
  /** Bytes of data messages, headers and tags included. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export interface TunnelStatus {
  readonly name: string;
  readonly port: number;
  readonly mtu: number;
  readonly aead: AeadName | undefined;
  readonly offloads: { readonly tun: SuperPacketKinds; readonly udp: UdpTransport["offloads"] };
  readonly peers: readonly PeerStatus[];
  readonly drops: Partial<Record<DropReason, number>>;
  readonly workers: { readonly outbound: WorkerReport; readonly inbound: WorkerReport };
}

export class Tunnel implements AsyncDisposable {
  readonly name: string;
  readonly port: number;
  readonly #tun: TunDevice;
  readonly #transport: UdpTransport;
  readonly #device: Device;
  readonly #plane: DataPlane;
  readonly #failure = Promise.withResolvers<VpnError>();
  /** What is to be given back at the end, last taken first. */
  readonly #resources = new AsyncDisposableStack();
  #timer: NodeJS.Timeout | undefined;
  #mtu: number;
  #isEnding = false;
  #isLookingSoon = false;
  #closed: Promise<void> | undefined;

  /**
   * Makes the interface and brings it up; resolves when packets can pass. Throws a `VpnError` that says what is missing
   * and leaves nothing behind. All that belongs to a network namespace is made before the first `await`, in the one that
   * the calling thread is in.
   */
  static async open(options: TunnelOptions): Promise<Tunnel> {
    await using resources = new AsyncDisposableStack();
    const { addresses = [], peers = [], mtu = defaultMtu } = options;
    const tun = resources.use(TunDevice.open({ name: options.name }));
    const transport = resources.use(new UdpTransport({ port: options.listenPort ?? 0, mark: options.mark }));
    const routes = options.routeAllowedIps === true ? peers.flatMap((peer) => peer.allowedIps) : [];
    const endpoints = peers.flatMap(({ endpoint }) => endpoint?.address ?? []);
    const { index, name } = tun;
    setUpInterface({ index, name, mtu, addresses, routes, endpoints, mark: options.mark });
    if (options.forward === true) resources.use(Forwarding.enable(tun.name, addresses));
    const tunnel = new Tunnel(options, tun, transport);
    resources.defer(() => tunnel.#plane.stop());
    resources.defer(() => tunnel.#forget());
    resources.use(watchLink(tun.index, (event) => tunnel.#linkChanged(event)));
    for (const peer of peers) tunnel.addPeer(peer);
    await tunnel.#start();
    tunnel.#resources.use(resources.move());
    return tunnel;
  }

  private constructor(options: TunnelOptions, tun: TunDevice, transport: UdpTransport) {
    const maximumPeers = options.maximumPeers ?? defaultMaximumPeers;
    this.name = tun.name;
    this.port = transport.port;
    this.#mtu = options.mtu ?? defaultMtu;
    this.#tun = tun;
    this.#transport = transport;
    this.#device = new Device({
      primitives: native,
      random: (length) => randomFillSync(new Uint8Array(length)),
      wallClock: () => Date.now(),
      maximumPeers,
    });
    this.#plane = new DataPlane({
      maximumPeers,
      mtu: this.#mtu,
      kernels: new WebAssembly.Module(readKernels()),
      tun: tun.fd,
      sockets: transport.descriptors,
      segmentation: transport.offloads.segmentation,
      offloads: superPackets(tun),
      aead: options.aead,
      requests: this.#requests(),
    });
    this.#device.setPrivateKey(bootTime(), options.privateKey);
  }

  /** Resolves if the tunnel can carry no more: a worker failed, or somebody deleted the interface. Then `close`. */
  get failure(): Promise<VpnError> {
    return this.#failure.promise;
  }

  /** Adds a peer. Allowed IPs that another peer had move to this one. Throws `invalid-argument`, `not-available`. */
  addPeer(options: TunnelPeerOptions): void {
    const { publicKey, presharedKey, endpoint, allowedIps, persistentKeepaliveSeconds: seconds = 0 } = options;
    const { peers } = this.#plane;
    const id = peers.add();
    try {
      this.#device.addPeer(bootTime(), {
        id,
        publicKey,
        activity: peers.activity(id),
        ...(presharedKey === undefined ? {} : { presharedKey }),
        ...(endpoint === undefined ? {} : { endpoint }),
        ...(seconds === 0 ? {} : { persistentKeepaliveMs: 1000 * seconds }),
      });
    } catch (error) {
      peers.remove(id);
      throw error;
    }
    if (endpoint !== undefined) peers.setEndpoint(id, UdpTransport.encode(endpoint));
    try {
      for (const allowed of allowedIps) this.#plane.allowedIps.insert(allowed, id);
    } catch (error) {
      this.removePeer(publicKey);
      throw error;
    }
    this.#settle();
  }

  /** Ends a peer's session, erases its keys and forgets it. Whether there was one. */
  removePeer(publicKey: PublicKey): boolean {
    const peer = this.#device.peer(publicKey);
    if (peer === undefined) return false;
    const now = bootTime();
    this.#plane.allowedIps.removePeer(peer.id);
    this.#device.removePeer(now, peer);
    this.#settle();
    this.#plane.peers.remove(peer.id);
    return true;
  }

  status(): TunnelStatus {
    return {
      name: this.name,
      port: this.port,
      mtu: this.#mtu,
      aead: this.#plane.aead,
      offloads: { tun: superPackets(this.#tun), udp: this.#transport.offloads },
      peers: Array.from(this.#device.peers, (peer) => ({
        publicKey: peer.publicKey.toString(),
        endpoint: peer.endpoint?.toString(),
        lastHandshakeAt: peer.lastHandshakeAt,
        ...this.#plane.peers.transfer(peer.id),
      })),
      drops: this.#plane.memory.drops(),
      workers: { outbound: this.#plane.memory.report("outbound"), inbound: this.#plane.memory.report("inbound") },
    };
  }

  /** Ends the workers, erases all keys, removes the interface and what was set up around it. */
  close(): Promise<void> {
    this.#closed ??= this.#resources.disposeAsync();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The operator may change the MTU under way. A deletion shows in the outbound worker, wherever the interface was. */
  #linkChanged(event: LinkEvent): void {
    if (event.kind !== "changed" || event.link.mtu === this.#mtu) return;
    this.#mtu = event.link.mtu;
    this.#plane.mtu = this.#mtu;
  }

  async #start(): Promise<void> {
    await this.#plane.start();
    this.#look();
  }

  /** Sees to whatever is due, and sleeps until the next deadline, or until the stamps are to be looked at again. */
  #look(): void {
    if (this.#isEnding) return;
    const now = bootTime();
    this.#device.expire(now);
    this.#settle();
    const deadline = this.#device.nextDeadline() ?? Number.POSITIVE_INFINITY;
    this.#isLookingSoon = false;
    const waitMs = Math.min(lookEveryMs, Math.max(1, deadline - now));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), waitMs);
  }

  /** The first step of the end: no deadline is met any more, and every peer and key is forgotten. */
  #forget(): void {
    this.#isEnding = true;
    clearTimeout(this.#timer);
    for (const peer of [...this.#device.peers]) this.removePeer(peer.publicKey);
    this.#device.setPrivateKey(bootTime(), undefined);
    this.#settle();
  }

  /** Looks before long: what the workers asked for may have brought a deadline nearer than the one slept for. */
  #lookSoon(): void {
    if (this.#isEnding || this.#isLookingSoon) return;
    this.#isLookingSoon = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), lookSoonMs);
  }

  /** What the workers ask, put to the protocol. */
  #requests(): Requests {
    const peerOf = (id: number) => this.#device.peerById(id);
    return {
      handshake: (message, from, waiting) => {
        if (waiting > loadThreshold) this.#device.noteLoad(bootTime());
        const source = UdpTransport.decode(from);
        if (source !== undefined) this.#count(this.#device.receive(bootTime(), message, source));
        this.#settle(); // answers leave at once, and a flood of them does not pile up
      },
      stage: (id, packet) => {
        const peer = peerOf(id);
        if (peer !== undefined) this.#count(this.#device.send(bootTime(), peer, packet));
      },
      confirm: (localIndex) => this.#device.confirm(bootTime(), localIndex),
      freshen: (id) => {
        const peer = peerOf(id);
        if (peer !== undefined) this.#device.freshen(bootTime(), peer);
      },
      roam: (id, from) => {
        const peer = peerOf(id);
        const endpoint = UdpTransport.decode(from);
        if (peer !== undefined && endpoint !== undefined) this.#device.roam(bootTime(), peer, endpoint);
      },
      settle: () => {
        this.#settle();
        this.#lookSoon();
      },
      fail: (error) => {
        const failure =
          error instanceof VpnError ? error : new VpnError("worker-failed", String(error), { cause: error });
        this.#failure.resolve(failure);
      },
    };
  }

  /** Does what the protocol asks for. */
  #settle(): void {
    for (const output of this.#device.drain()) this.#apply(output);
  }

  #apply(output: Output): void {
    const { keypairs, peers } = this.#plane;
    switch (output.kind) {
      case "transmit":
        if (!this.#transport.send(output.message, output.endpoint)) this.#count("send-failed");
        break;
      case "seal":
        if (!this.#plane.seal(output.peer.id, output.packet)) this.#count("staging-full");
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
        peers.setEndpoint(output.peer.id, UdpTransport.encode(output.endpoint));
        break;
      case "handshake-failed":
        this.#count("peer-unreachable", output.discarded);
        break;
      case "handshake-completed":
        break; // for the log, once there is one
    }
  }

  #count(reason: DropReason | undefined, packets = 1): void {
    if (reason === undefined) return;
    const { floats } = this.#plane.memory;
    floats[this.#plane.memory.dropRow("main") + dropReasons.indexOf(reason)] += packets;
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

function superPackets({ offloads }: TunDevice): SuperPacketKinds {
  return { tcp4: offloads.tso4, tcp6: offloads.tso6, udp: offloads.uso };
}
