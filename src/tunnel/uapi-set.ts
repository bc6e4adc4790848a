/**
 * A `set=1` of the configuration protocol, applied as it is read: lines about the interface at once, lines about a peer
 * when the next peer begins, and allowed IPs in portions, so that memory does not grow with what is sent. What stood
 * before a wrong line stays in force, as with wireguard-go. Two clients that set at the same time get between each
 * other's peers, never into one: the kernel, too, takes a long configuration in several messages.
 */
import type { Cidr, Endpoint } from "../base/address.ts";
import { isZero, wipe } from "../base/bytes.ts";
import { PresharedKey, PrivateKey, PublicKey } from "../base/keys.ts";
import type { Tunnel } from "./tunnel.ts";
import {
  parseAllowedIp,
  parseEndpoint,
  parseKey,
  parseLine,
  parseNumber,
  Refusal,
  ReplyErrno,
  requireTrue,
} from "./uapi-line.ts";

/** What of a tunnel the operation changes. */
export type ConfigurableTunnel = Pick<
  Tunnel,
  | "publicKey"
  | "setPrivateKey"
  | "setListenPort"
  | "setMark"
  | "peers"
  | "addPeer"
  | "hasPeer"
  | "updatePeer"
  | "removePeer"
>;

/** Allowed IPs held before they are applied. */
const portion = 1024;

/** What is to be done about the peer that the lines are about. */
interface PeerSection {
  readonly publicKey: PublicKey;
  /** Whether its lines are read for mistakes alone: it is ourselves, or removed, or was to be there and is not. */
  isIgnored: boolean;
  /** Whether this operation made it. */
  isNew: boolean;
  presharedKey?: PresharedKey;
  endpoint?: Endpoint;
  persistentKeepaliveSeconds?: number;
  replaceAllowedIps: boolean;
  allowedIps: Cidr[];
  removedAllowedIps: Cidr[];
}

export class SetOperation {
  readonly #tunnel: ConfigurableTunnel;
  readonly #indexOf: (interfaceName: string) => number | undefined;
  #peer: PeerSection | undefined;

  /** `indexOf` finds the interface that an endpoint's scope names. */
  constructor(tunnel: ConfigurableTunnel, indexOf: (interfaceName: string) => number | undefined) {
    this.#tunnel = tunnel;
    this.#indexOf = indexOf;
  }

  /** Takes one line, which it does not keep. Throws `Refusal` for a wrong line, and what the tunnel throws. */
  take(line: Uint8Array): void {
    const { key, value } = parseLine(line);
    if (key === "public_key") this.#begin(value);
    else if (this.#peer === undefined) this.#takeInterfaceLine(key, value);
    else this.#takePeerLine(this.#peer, key, value);
  }

  /** Applies what waits. Once more does nothing. */
  finish(): void {
    const peer = this.#peer;
    if (peer !== undefined) this.#apply(peer);
  }

  #takeInterfaceLine(key: string, value: Uint8Array): void {
    switch (key) {
      case "private_key":
        this.#setPrivateKey(parseKey(key, value));
        break;
      case "listen_port":
        this.#tunnel.setListenPort(parseNumber(key, value, 0xffff));
        break;
      case "fwmark":
        this.#tunnel.setMark(parseNumber(key, value, 0xffff_ffff));
        break;
      case "replace_peers":
        requireTrue(key, value);
        for (const { publicKey } of this.#tunnel.peers()) this.#tunnel.removePeer(publicKey);
        break;
      default:
        throw new Refusal(ReplyErrno.EINVAL, `${JSON.stringify(key)} is nothing that an interface has`);
    }
  }

  /** A key is kept clamped (RFC 7748 §5), as the kernel and wireguard-go keep and show it. */
  #setPrivateKey(secret: Uint8Array): void {
    const isNone = isZero(secret);
    secret[0] &= 248;
    secret[31] = (secret[31] & 127) | 64;
    using key = isNone ? undefined : new PrivateKey(secret);
    wipe(secret);
    this.#tunnel.setPrivateKey(key);
  }

  #begin(value: Uint8Array): void {
    this.finish();
    const publicKey = new PublicKey(parseKey("public_key", value));
    this.#peer = {
      publicKey,
      isIgnored: this.#tunnel.publicKey?.equals(publicKey) === true,
      isNew: !this.#tunnel.hasPeer(publicKey),
      replaceAllowedIps: false,
      allowedIps: [],
      removedAllowedIps: [],
    };
  }

  #takePeerLine(peer: PeerSection, key: string, value: Uint8Array): void {
    switch (key) {
      case "update_only":
        requireTrue(key, value);
        if (peer.isNew) this.#remove(peer); // a portion of it may be in force already
        break;
      case "remove":
        requireTrue(key, value);
        this.#remove(peer);
        break;
      case "preshared_key":
        peer.presharedKey = takePresharedKey(parseKey(key, value));
        break;
      case "endpoint":
        peer.endpoint = parseEndpoint(value, this.#indexOf);
        break;
      case "persistent_keepalive_interval":
        peer.persistentKeepaliveSeconds = parseNumber(key, value, 0xffff);
        break;
      case "replace_allowed_ips":
        requireTrue(key, value);
        peer.replaceAllowedIps = true;
        peer.allowedIps = [];
        peer.removedAllowedIps = [];
        break;
      case "allowed_ip":
        this.#takeAllowedIp(peer, value);
        break;
      case "protocol_version":
        if (parseNumber(key, value, 0xffff_ffff) !== 1) {
          throw new Refusal(ReplyErrno.EINVAL, "there is no protocol_version but 1");
        }
        break;
      default:
        throw new Refusal(ReplyErrno.EINVAL, `${JSON.stringify(key)} is nothing that a peer has`);
    }
  }

  /** Additions and removals are applied in the order in which they came. */
  #takeAllowedIp(peer: PeerSection, value: Uint8Array): void {
    const { cidr, isRemoval } = parseAllowedIp(value);
    if (peer.isIgnored) return;
    const [list, other] = isRemoval
      ? [peer.removedAllowedIps, peer.allowedIps]
      : [peer.allowedIps, peer.removedAllowedIps];
    if (other.length > 0 || list.length >= portion) this.#apply(peer);
    (isRemoval ? peer.removedAllowedIps : peer.allowedIps).push(cidr);
  }

  #remove(peer: PeerSection): void {
    if (!peer.isIgnored) this.#tunnel.removePeer(peer.publicKey);
    peer.isIgnored = true;
  }

  /** Makes the peer, or changes it, and forgets what has thereby been done. */
  #apply(peer: PeerSection): void {
    if (peer.isIgnored) return;
    const { publicKey, endpoint, persistentKeepaliveSeconds, allowedIps, removedAllowedIps } = peer;
    using presharedKey = peer.presharedKey; // the tunnel keeps a copy
    const settings = {
      ...(presharedKey === undefined ? {} : { presharedKey }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(persistentKeepaliveSeconds === undefined ? {} : { persistentKeepaliveSeconds }),
      allowedIps,
    };
    const { replaceAllowedIps } = peer;
    delete peer.presharedKey;
    delete peer.endpoint;
    delete peer.persistentKeepaliveSeconds;
    peer.replaceAllowedIps = false;
    peer.allowedIps = [];
    peer.removedAllowedIps = [];
    peer.isIgnored = true; // if it cannot be done, it is not tried again
    if (this.#tunnel.hasPeer(publicKey)) {
      this.#tunnel.updatePeer(publicKey, { ...settings, replaceAllowedIps, removedAllowedIps });
    } else {
      this.#tunnel.addPeer({ publicKey, ...settings });
    }
    peer.isIgnored = false;
  }
}

/** All zeros take the key away. */
function takePresharedKey(secret: Uint8Array): PresharedKey {
  const key = new PresharedKey(secret);
  wipe(secret);
  return key;
}
