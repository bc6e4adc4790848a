/**
 * A tunnel between warren, on the left of an underlay, and wireguard-go, on its right:
 *
 *     left (warren)  10.8.0.1, fd08::1 ====== 10.8.0.2, fd08::2  right (wireguard-go)
 *
 * Only the initiator is told the other's endpoint, so that the roles are certain.
 */

import { randomBytes } from "node:crypto";
import type { AddressFamily } from "../../src/base/address.ts";
import { PresharedKey, PrivateKey, PublicKey } from "../../src/base/keys.ts";
import { native } from "../../src/crypto/native.ts";
import type { Machine } from "./machine.ts";
import { endpointOf, Underlay } from "./underlay.ts";
import { type WarrenOptions, WarrenProcess } from "./warren-process.ts";
import { WireguardGo } from "./wireguard-go.ts";

export const inside = { left: { 4: "10.8.0.1", 6: "fd08::1" }, right: { 4: "10.8.0.2", 6: "fd08::2" } } as const;
export const families: readonly AddressFamily[] = [4, 6];
const ports = { left: 5001, right: 5002 } as const;

export interface TunnelPairOptions extends WarrenOptions {
  /** Which wireguard-go. */
  readonly program: string;
  readonly initiator?: "warren" | "wireguard-go";
  /** The underlay's address family. */
  readonly outside?: AddressFamily;
  readonly presharedKey?: boolean;
  readonly warrenMtu?: number;
  readonly peerMtu?: number;
  /** More lines of warren's [Interface]. */
  readonly settings?: readonly string[];
  /** One that is there already; the pair takes it over. */
  readonly underlay?: Underlay;
}

let made = 0;
/** A name that no other test has: control sockets of all namespaces lie in one folder. */
const uniqueName = () => `wt${process.pid}n${made++}`;

export class TunnelPair implements Disposable {
  readonly underlay: Underlay;
  readonly warren: WarrenProcess;
  readonly peer: WireguardGo;
  /** What warren was started with, and by whom it is known. */
  readonly keys: { readonly warren: PrivateKey; readonly peer: PrivateKey };

  static async open(options: TunnelPairOptions): Promise<TunnelPair> {
    const { program, initiator = "warren", outside = 4, warrenMtu = 1420, peerMtu = 1420 } = options;
    using undo = new DisposableStack();
    const underlay = undo.use(options.underlay ?? new Underlay());
    const keys = { warren: new PrivateKey(randomBytes(32)), peer: new PrivateKey(randomBytes(32)) };
    const psk = options.presharedKey === true ? new PresharedKey(randomBytes(32)) : PresharedKey.none;
    const config = [
      "[Interface]",
      `PrivateKey = ${keys.warren.reveal()}`,
      `ListenPort = ${ports.left}`,
      `Address = ${inside.left[4]}/24, ${inside.left[6]}/64`,
      `MTU = ${warrenMtu}`,
      ...(options.settings ?? []),
      "[Peer]",
      `PublicKey = ${publicKeyOf(keys.peer)}`,
      `AllowedIPs = ${inside.right[4]}/32, ${inside.right[6]}/128`,
      ...(psk.isNone ? [] : [`PresharedKey = ${psk.reveal()}`]),
      ...(initiator === "warren" ? [`Endpoint = ${endpointOf("right", outside, ports.right)}`] : []),
    ].join("\n");
    const settings = [
      `private_key=${Buffer.from(keys.peer.bytes).toString("hex")}`,
      `listen_port=${ports.right}`,
      `public_key=${publicKeyOf(keys.warren).hex}`,
      `preshared_key=${Buffer.from(psk.bytes).toString("hex")}`,
      `allowed_ip=${inside.left[4]}/32`,
      `allowed_ip=${inside.left[6]}/128`,
      ...(initiator === "warren" ? [] : [`endpoint=${endpointOf("left", outside, ports.left)}`]),
    ];
    const name = uniqueName();
    const [warren, peer] = await Promise.all([
      WarrenProcess.start(underlay.left, "wg0", config, { ownSockets: true, ...options }),
      WireguardGo.start(underlay.right, program, name, settings),
    ]);
    underlay.right.config.links.set(underlay.right.indexOf(name), { mtu: peerMtu });
    underlay.right.setUp(name, `${inside.right[4]}/24`, `${inside.right[6]}/64`);
    undo.move();
    return new TunnelPair(underlay, warren, peer, keys);
  }

  private constructor(underlay: Underlay, warren: WarrenProcess, peer: WireguardGo, keys: TunnelPair["keys"]) {
    this.underlay = underlay;
    this.warren = warren;
    this.peer = peer;
    this.keys = keys;
  }

  /** The host with warren. */
  get left(): Machine {
    return this.underlay.left;
  }

  /** The host with wireguard-go. */
  get right(): Machine {
    return this.underlay.right;
  }

  [Symbol.dispose](): void {
    this.underlay[Symbol.dispose]();
    this.peer[Symbol.dispose]();
  }
}

export function publicKeyOf(key: PrivateKey): PublicKey {
  return new PublicKey(native.publicKey(key.bytes));
}
