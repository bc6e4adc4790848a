/** A tunnel that only remembers how it is configured, for the configuration protocol. */
import type { Cidr, Endpoint } from "../../../src/base/address.ts";
import { VpnError } from "../../../src/base/errors.ts";
import { PresharedKey, PrivateKey, PublicKey } from "../../../src/base/keys.ts";
import { native } from "../../../src/crypto/native.ts";
import type { PeerState, TunnelPeerChange } from "../../../src/tunnel/tunnel.ts";
import type { TunnelStatus } from "../../../src/tunnel/tunnel-status.ts";
import type { ConversationOptions } from "../../../src/tunnel/uapi.ts";

type Configured = ConversationOptions["tunnel"];

export class ConfigurableTunnel implements Configured {
  port = 0;
  mark = 0;
  maximumPeers = 20_000;
  privateKey: PrivateKey | undefined;
  /** What was asked of it, in order: with how many allowed IPs, and how many other settings. */
  readonly calls: string[] = [];
  readonly #peers = new Map<string, PeerState>();

  get publicKey(): PublicKey | undefined {
    return this.privateKey && new PublicKey(native.publicKey(this.privateKey.bytes));
  }

  setPrivateKey(key: PrivateKey | undefined): void {
    this.privateKey = key && new PrivateKey(key.bytes);
  }

  setListenPort(port: number): void {
    if (port === 1) throw new VpnError("port-taken", "port 1 is taken");
    this.port = port;
  }

  setMark(mark: number): void {
    this.mark = mark;
  }

  hasPeer(key: PublicKey): boolean {
    return this.#peers.has(key.hex);
  }

  peers(): Iterable<PeerState> {
    return this.#peers.values();
  }

  peer(number: number): PeerState | undefined {
    return this.#peers.get(peerKey(number));
  }

  addPeer(options: Parameters<Configured["addPeer"]>[0]): void {
    this.#note("addPeer", options);
    if (this.publicKey?.equals(options.publicKey) === true) throw new VpnError("invalid-configuration", "our own key");
    if (this.#peers.size >= this.maximumPeers) throw new VpnError("not-available", "there is no room");
    this.#peers.set(options.publicKey.hex, {
      publicKey: options.publicKey,
      presharedKey: new PresharedKey((options.presharedKey ?? PresharedKey.none).bytes),
      endpoint: options.endpoint,
      allowedIps: this.#claim(options.allowedIps),
      persistentKeepaliveSeconds: options.persistentKeepaliveSeconds ?? 0,
      lastHandshakeAt: undefined,
      sentBytes: 0,
      receivedBytes: 0,
    });
  }

  updatePeer(key: PublicKey, change: Parameters<Configured["updatePeer"]>[1]): void {
    this.#note("updatePeer", change);
    const peer = this.#peers.get(key.hex);
    if (peer === undefined) throw new Error("no such peer");
    const { presharedKey, endpoint, persistentKeepaliveSeconds, allowedIps = [], removedAllowedIps = [] } = change;
    const before = change.replaceAllowedIps === true ? [] : peer.allowedIps;
    this.#peers.set(key.hex, {
      ...peer,
      ...(presharedKey === undefined ? {} : { presharedKey: new PresharedKey(presharedKey.bytes) }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(persistentKeepaliveSeconds === undefined ? {} : { persistentKeepaliveSeconds }),
      allowedIps: [...before, ...this.#claim(allowedIps)].filter(
        (allowed) => !removedAllowedIps.some((removed) => removed.equals(allowed)),
      ),
    });
  }

  status(): TunnelStatus {
    const worker = { packets: 0, systemCalls: 0, allocatedBytes: 0, packetsAtReading: 0 };
    const tun = { tcp4: true, tcp6: true, udp: false };
    return {
      name: "wg7",
      port: this.port,
      mtu: 1420,
      aead: "block",
      offloads: { tun, udp: { segmentation: true, receiveOffload: false }, off: [] },
      peers: [],
      paths: {},
      drops: { "message-replayed": 3 },
      workers: { outbound: worker, inbound: worker },
    };
  }

  removePeer(key: PublicKey): boolean {
    return this.#peers.delete(key.hex);
  }

  /** Something that no set can change, for what a get says. */
  put(number: number, state: { endpoint?: Endpoint; lastHandshakeAt?: number; sentBytes?: number }): void {
    const peer = this.#peers.get(peerKey(number));
    if (peer !== undefined) this.#peers.set(peerKey(number), { ...peer, ...state });
  }

  #note(call: string, { allowedIps = [], endpoint, presharedKey, persistentKeepaliveSeconds }: TunnelPeerChange): void {
    const settings = [endpoint, presharedKey, persistentKeepaliveSeconds].filter((setting) => setting !== undefined);
    this.calls.push(`${call} ${allowedIps.length} ${settings.length}`);
  }

  #claim(allowedIps: readonly Cidr[]): Cidr[] {
    return allowedIps.map((allowed) => allowed.network);
  }
}

/** The public key of a peer of a test, in hexadecimal. */
export function peerKey(number: number): string {
  return number.toString(16).padStart(64, "0");
}
