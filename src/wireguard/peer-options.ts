/** What a peer is when it is added to a device. */
import type { Endpoint } from "../base/address.ts";
import type { PresharedKey, PublicKey } from "../base/keys.ts";
import type { Activity } from "./activity.ts";
import type { Milliseconds } from "./constants.ts";

export interface PeerOptions {
  /** The caller's own small integer, 0 or more: what allowed IPs and shared memory name the peer by. */
  readonly id: number;
  readonly publicKey: PublicKey;
  readonly presharedKey?: PresharedKey;
  readonly endpoint?: Endpoint;
  readonly persistentKeepaliveMs?: Milliseconds;
  /** Stamps that other threads write. Without it the peer keeps its own. */
  readonly activity?: Activity;
}
