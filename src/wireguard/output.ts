/** What the protocol asks for: the one way in which it acts. */
import type { Endpoint } from "../base/address.ts";
import type { Keypair } from "./keypair.ts";

/** What a device asks of whoever drives it, in the order in which it is to be done. */
export type OutputOf<Peer> =
  /** Send a handshake message or cookie reply. The peer is undefined where a cookie reply answers a stranger. */
  | { kind: "transmit"; message: Uint8Array; endpoint: Endpoint; peer: Peer | undefined }
  /** Seal this packet with the peer's sending keypair and send it; an empty one is a keepalive. */
  | { kind: "seal"; peer: Peer; packet: Uint8Array }
  /** Messages sealed with this keypair may arrive from now on. */
  | { kind: "keypair-added"; peer: Peer; keypair: Keypair }
  /** Seal with this keypair from now on; undefined: with none. */
  | { kind: "keypair-selected"; peer: Peer; keypair: Keypair | undefined }
  /** Use this keypair no more. Whoever holds it last wipes it. */
  | { kind: "keypair-removed"; peer: Peer; keypair: Keypair }
  /** The peer is now to be reached here; by configuration or because it roamed. */
  | { kind: "endpoint-changed"; peer: Peer; endpoint: Endpoint }
  /** A probe of a way was answered, after so long. */
  | { kind: "path-answered"; peer: Peer; endpoint: Endpoint; roundTripMs: number }
  /** A session was agreed and confirmed. For the log. */
  | { kind: "handshake-completed"; peer: Peer }
  /** The peer never answered; so many staged packets were dropped, to be counted as `peer-unreachable`. */
  | { kind: "handshake-failed"; peer: Peer; discarded: number };
