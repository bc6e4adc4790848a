/**
 * One live interface: a TUN device, a UDP port, the protocol and the packet path, wired together, and all that may be
 * changed about them while packets pass. What the host needs around the interface (addresses, routes, forwarding) is
 * the caller's, by `setUp`.
 *
 * A change acts as it does on the kernel's own WireGuard (drivers/net/wireguard/netlink.c, device.c): sessions live on
 * through everything but a new private key.
 */
import type { Cidr, Endpoint } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { PresharedKey, type PrivateKey, PublicKey } from "../base/keys.ts";
import { native } from "../crypto/native.ts";
import { encodeEndpoint } from "../dataplane/endpoint-record.ts";
import type { AeadName } from "../dataplane/packet-aead.ts";
import { bootTime } from "../os/clock.ts";
import { InterfaceConfig } from "../os/interface-config.ts";
import { TunDevice } from "../os/tun-device.ts";
import { type InterfaceState, TunWatch } from "../os/tun-watch.ts";
import { UdpTransport } from "../transport/udp.ts";
import type { Peer } from "../wireguard/peer.ts";
import { PathControl } from "./path-control.ts";
import type { TunnelPaths } from "./path-report.ts";
import type { PeerObservation } from "./persistence-state.ts";
import { ProtocolDriver } from "./protocol-driver.ts";
import { SourceWatch } from "./source-watch.ts";
import { statusOf, type TunnelStatus } from "./tunnel-status.ts";

/** What fits an Ethernet of 1,500 bytes with IPv6 outside. */
export const defaultMtu = 1420;
const defaultMaximumPeers = 65_536; // as wireguard-go has it; memory is taken when it is used

export interface TunnelPeerOptions {
  readonly publicKey: PublicKey;
  readonly presharedKey?: PresharedKey | undefined;
  readonly endpoint?: Endpoint | undefined;
  readonly allowedIps: readonly Cidr[];
  /** 0 or absent: none. */
  readonly persistentKeepaliveSeconds?: number | undefined;
}

/** What is left out stays as it is. */
export interface TunnelPeerChange {
  readonly presharedKey?: PresharedKey | undefined;
  readonly removePresharedKey?: boolean;
  readonly endpoint?: Endpoint | undefined;
  /** 0: none. */
  readonly persistentKeepaliveSeconds?: number | undefined;
  /** Takes all allowed IPs away before any is given. */
  readonly replaceAllowedIps?: boolean;
  /** Given to this peer, and taken from whoever had them. */
  readonly allowedIps?: readonly Cidr[];
  /** Taken from this peer, where it has them. */
  readonly removedAllowedIps?: readonly Cidr[];
}

/** The interface as `setUp` finds it. */
export interface TunnelLink {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
}

export interface TunnelOptions {
  /** Of the interface to create; `wg%d` takes the first free number. */
  readonly name: string;
  /** An open descriptor of a TUN device to take over, instead of creating one; then `name` does not matter. */
  readonly tunFd?: number | undefined;
  /** May come later. Without one there are no sessions. */
  readonly privateKey?: PrivateKey | undefined;
  /** 0 or absent lets the kernel choose. */
  readonly listenPort?: number | undefined;
  /** Firewall mark of the datagrams; 0 or absent: none. */
  readonly mark?: number | undefined;
  readonly peers?: readonly TunnelPeerOptions[];
  readonly maximumPeers?: number;
  /** Takes one provider of the cipher instead of the fastest that works. */
  readonly aead?: AeadName | undefined;
  /** Worker threads of each direction, 1 to 4; by the number of processors where left out. */
  readonly workers?: number | undefined;
  /** Who keeps the ways to peers that have several, or are reached by streams. */
  readonly paths?: TunnelPaths | undefined;
  /**
   * Configures the host around the interface and brings it up, synchronously, in the network namespace of the calling
   * thread, when device and sockets exist and before any await. What it returns is disposed of at the end, before the
   * device goes. Left out, the interface is as it was found: a new one is down.
   */
  readonly setUp?: (link: TunnelLink, port: number) => Disposable | AsyncDisposable | undefined;
  /** Told of what goes wrong without ending the tunnel: a port taken when the link comes up, an offload that is broken. */
  readonly notice?: (error: VpnError) => void;
  /** Told in a line of whatever happens: handshakes, changes of the configuration and of the link. */
  readonly log?: (line: string) => void;
}

/** A peer as it is configured, and how it fares. */
export interface PeerState {
  readonly publicKey: PublicKey;
  /** All zeros: none. Not a copy: do not keep it. */
  readonly presharedKey: PresharedKey;
  readonly endpoint: Endpoint | undefined;
  readonly allowedIps: Iterable<Cidr> & { readonly length: number };
  /** 0: none. */
  readonly persistentKeepaliveSeconds: number;
  /** Wall clock, ms since 1970; undefined if there was none. */
  readonly lastHandshakeAt: number | undefined;
  /** Bytes of data messages, headers and tags included. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export class Tunnel implements AsyncDisposable {
  readonly name: string;
  readonly #tun: TunDevice;
  readonly #transport: UdpTransport;
  readonly #driver: ProtocolDriver;
  readonly #failure = Promise.withResolvers<VpnError>();
  /** What is to be given back at the end, last taken first. */
  readonly #resources = new AsyncDisposableStack();
  readonly #notice: (error: VpnError) => void;
  readonly #log: ((line: string) => void) | undefined;
  #state: InterfaceState;
  #pathControl: PathControl | undefined;
  #isEnding = false;
  #closed: Promise<void> | undefined;

  /**
   * Makes the interface; resolves when packets can pass, as soon as it is up. Throws a `VpnError` that says what is
   * missing and leaves nothing behind. All that belongs to a network namespace is made before the first `await`, in the
   * one that the calling thread is in.
   */
  static async open(options: TunnelOptions): Promise<Tunnel> {
    await using resources = new AsyncDisposableStack();
    const { name, tunFd, listenPort = 0, mark = 0, peers = [], setUp } = options;
    const tun = resources.use(tunFd === undefined ? TunDevice.open({ name }) : TunDevice.adopt(tunFd));
    const transport = resources.use(new UdpTransport());
    using config = InterfaceConfig.open();
    if (tunFd === undefined) config.links.set(tun.index, { mtu: defaultMtu });
    if (mark !== 0) transport.mark = mark;
    transport.port = listenPort;
    if (setUp !== undefined) transport.open(); // a port that is taken is found before the host is touched
    const found = config.links.find(tun.index);
    resources.use(setUp?.({ index: tun.index, name: tun.name, mtu: found?.mtu ?? defaultMtu }, transport.port));
    const watch = resources.use(new TunWatch(tun, (state) => tunnel.#follow(state)));
    const state = watch.state ?? { name: tun.name, up: false, mtu: defaultMtu };
    const tunnel = new Tunnel(options, tun, transport, state);
    resources.use(new SourceWatch(tunnel.#driver, transport));
    resources.defer(() => tunnel.#driver.stop());
    resources.defer(() => tunnel.#forget());
    if (state.up && !transport.isOpen) transport.open();
    tunnel.#follow(state);
    for (const peer of peers) tunnel.addPeer(peer);
    await tunnel.#driver.start();
    tunnel.#resources.use(resources.move());
    return tunnel;
  }

  private constructor(options: TunnelOptions, tun: TunDevice, transport: UdpTransport, state: InterfaceState) {
    this.name = tun.name;
    this.#tun = tun;
    this.#transport = transport;
    this.#notice = options.notice ?? (() => undefined);
    this.#log = options.log;
    this.#state = state;
    this.#driver = new ProtocolDriver({
      maximumPeers: options.maximumPeers ?? defaultMaximumPeers,
      mtu: state.mtu,
      tun,
      transport,
      aead: options.aead,
      workers: options.workers,
      paths: options.paths,
      fail: (error) => this.#failure.resolve(error),
      warn: (line) => this.#notice(new VpnError("not-available", line)),
      log: options.log,
    });
    this.#driver.setPrivateKey(options.privateKey);
  }

  /** Resolves if the tunnel can carry no more: a worker failed, or somebody deleted the interface. Then `close`. */
  get failure(): Promise<VpnError> {
    return this.#failure.promise;
  }

  /** The UDP port; 0 while none was chosen. */
  get port(): number {
    return this.#transport.port;
  }

  /** Firewall mark of the datagrams; 0: none. */
  get mark(): number {
    return this.#transport.mark;
  }

  /** Who we are; undefined without a private key. */
  get publicKey(): PublicKey | undefined {
    return this.#driver.device.publicKey;
  }

  /** The private key, for those who are asked to show the configuration. Not a copy: do not keep it. */
  get privateKey(): PrivateKey | undefined {
    return this.#driver.device.privateKey;
  }

  /** Changes who we are, `undefined` for nobody: all sessions end, and a peer with our new key is removed. */
  setPrivateKey(key: PrivateKey | undefined): void {
    if (key !== undefined) this.removePeer(new PublicKey(native.publicKey(key.bytes)));
    this.#driver.setPrivateKey(key);
    this.#log?.(key === undefined ? "private key removed" : "private key set");
    this.#driver.settle();
  }

  /**
   * Listens on another port, 0 for one of the kernel's choice, and no longer on the one before; sessions live on. Throws
   * `port-taken`, and then stays where it was.
   */
  setListenPort(port: number): void {
    if (port === this.port && this.#transport.isOpen === this.#state.up) return;
    if (this.#state.up) {
      this.#transport.open(port);
      this.#driver.device.start(bootTime());
    } else this.#transport.port = port;
    this.#log?.(`listening port is ${this.port}`);
    this.#driver.device.forgetLocalAddress(bootTime());
    this.#driver.plane.wake();
    this.#driver.settle();
  }

  /** Firewall mark of the datagrams from now on; 0: none. Throws `not-permitted`. */
  setMark(mark: number): void {
    if (mark === this.mark) return;
    this.#transport.mark = mark;
    this.#driver.device.forgetLocalAddress(bootTime());
    this.#driver.settle();
  }

  /** Whether SYNs announce no segments larger than fit the tunnel; so at first. */
  set clampsMss(clamps: boolean) {
    this.#driver.plane.clampsMss = clamps;
  }

  hasPeer(key: PublicKey): boolean {
    return this.#driver.device.peer(key) !== undefined;
  }

  /**
   * Adds a peer. Allowed IPs that another peer had move to this one. Throws `invalid-argument` where there is such a
   * peer, `invalid-configuration` where it has our own key, `not-available` where there is no room.
   */
  addPeer(options: TunnelPeerOptions): void {
    const { publicKey, presharedKey, endpoint, allowedIps, persistentKeepaliveSeconds: seconds = 0 } = options;
    const { device, plane } = this.#driver;
    device.checkNewPeer(publicKey); // before a number is taken, which would come back only when the workers let go of it
    const id = plane.peers.add();
    try {
      device.addPeer(bootTime(), {
        id,
        publicKey,
        activity: plane.peers.activity(id),
        ...(presharedKey === undefined ? {} : { presharedKey }),
        ...(endpoint === undefined ? {} : { endpoint }),
        ...(seconds === 0 ? {} : { persistentKeepaliveMs: 1000 * seconds }),
      });
    } catch (error) {
      plane.peers.remove(id);
      throw error;
    }
    if (endpoint !== undefined) plane.peers.setEndpoint(id, encodeEndpoint(endpoint));
    try {
      for (const allowed of allowedIps) plane.allowedIps.insert(allowed, id);
    } catch (error) {
      this.removePeer(publicKey);
      throw error;
    }
    this.#log?.(`peer ${publicKey.short}: added`);
    this.#driver.settle();
  }

  /** Ends a peer's session, erases its keys and forgets it. Whether there was one. */
  removePeer(key: PublicKey): boolean {
    const { device, plane } = this.#driver;
    const peer = device.peer(key);
    if (peer === undefined) return false;
    plane.allowedIps.removePeer(peer.id);
    device.removePeer(bootTime(), peer);
    this.#driver.settle();
    plane.peers.remove(peer.id);
    this.#log?.(`peer ${key.short}: removed`);
    return true;
  }

  /** Changes a peer; its session lives on. Throws `invalid-argument` where there is none. */
  updatePeer(key: PublicKey, change: TunnelPeerChange): void {
    const { device, plane } = this.#driver;
    const peer = this.#peer(key);
    const now = bootTime();
    const presharedKey = change.removePresharedKey === true ? PresharedKey.none : change.presharedKey;
    if (presharedKey !== undefined) peer.setPresharedKey(presharedKey);
    if (change.endpoint !== undefined) device.setEndpoint(now, peer, change.endpoint);
    if (change.replaceAllowedIps === true) plane.allowedIps.removePeer(peer.id);
    for (const allowed of change.removedAllowedIps ?? []) plane.allowedIps.remove(allowed, peer.id);
    for (const allowed of change.allowedIps ?? []) plane.allowedIps.insert(allowed, peer.id);
    this.#log?.(`peer ${key.short}: changed`);
    const seconds = change.persistentKeepaliveSeconds;
    if (seconds !== undefined) device.setPersistentKeepalive(now, peer, seconds === 0 ? undefined : 1000 * seconds);
    this.#driver.settle();
  }

  /** Begins a handshake now, unless one was begun within `RekeyTimeout`. Throws `invalid-argument` for a stranger. */
  initiate(key: PublicKey): void {
    this.#driver.device.freshen(bootTime(), this.#peer(key));
    this.#driver.settle();
  }

  /** The same although one is under way, since the network has changed. False where the last is younger than a second. */
  shakeHands(key: PublicKey): boolean {
    return this.#driver.shakeHands(this.#peer(key));
  }

  /** For whoever chooses among the ways to a peer. */
  get pathControl(): PathControl {
    this.#pathControl ??= new PathControl(this.#driver);
    return this.#pathControl;
  }

  /** How a peer fares, cheaply; `undefined` where there is none of this key. Times are of `bootTime`, 0 is never. */
  liveness(key: PublicKey): PeerObservation | undefined {
    return this.#driver.liveness(key);
  }

  /** The peers in the order in which they came, each as it is when its turn comes. */
  *peers(): Iterable<PeerState> {
    for (const peer of this.#driver.device.peers) yield this.#stateOf(peer);
  }

  status(): TunnelStatus {
    return statusOf(this.#driver, this.#tun, this.#transport, this.#state.mtu);
  }

  /** Ends the workers, erases all keys, undoes `setUp` and removes the interface. */
  close(): Promise<void> {
    this.#closed ??= this.#resources.disposeAsync();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #peer(key: PublicKey): Peer {
    const peer = this.#driver.device.peer(key);
    if (peer === undefined) throw new VpnError("invalid-argument", `there is no peer ${key}`);
    return peer;
  }

  #stateOf(peer: Peer): PeerState {
    const { plane } = this.#driver;
    return {
      publicKey: peer.publicKey,
      presharedKey: peer.presharedKey,
      endpoint: this.#driver.resolve(peer.endpoint),
      allowedIps: plane.allowedIps.entries(peer.id),
      persistentKeepaliveSeconds: (peer.persistentKeepaliveMs ?? 0) / 1000,
      lastHandshakeAt: peer.lastHandshakeAt,
      ...plane.peers.transfer(peer.id),
    };
  }

  /** What becomes of the interface; `undefined` is its deletion, which the outbound worker has met, too. */
  #follow(state: InterfaceState | undefined): void {
    if (state === undefined || this.#isEnding) return;
    const { device, plane } = this.#driver;
    if (state.up !== this.#state.up) this.#log?.(`Interface is ${state.up ? "up" : "down"}`);
    if (state.mtu !== this.#state.mtu) this.#log?.(`MTU is ${state.mtu}`);
    this.#state = state;
    plane.mtu = state.mtu;
    if (state.up) this.#listen();
    else this.#transport.close();
    plane.wake();
    if (this.#transport.isOpen) device.start(bootTime());
    else device.stop(bootTime());
    this.#driver.settle();
  }

  /** Where the port is taken the interface stays up, but silent, until a port is chosen that is free. */
  #listen(): void {
    try {
      if (!this.#transport.isOpen) this.#transport.open();
    } catch (error) {
      if (!(error instanceof VpnError)) throw error;
      this.#notice(error);
    }
  }

  /** Every peer and key is forgotten. */
  #forget(): void {
    this.#isEnding = true;
    this.#driver.end();
    for (const peer of [...this.#driver.device.peers]) this.removePeer(peer.publicKey);
    this.setPrivateKey(undefined);
  }
}
