/**
 * Noise_IKpsk2, whitepaper §5.4.2 to §5.4.5, both roles, as functions from a message to the next. No function here knows
 * a clock, an index table or a peer's history: those belong to `peer.ts`, which also adds the macs of `cookies.ts`.
 *
 *   initiator -> responder   e, es, s, ss, timestamp
 *   responder -> initiator   e, ee, se, psk, nothing
 */
import { wipe } from "../base/bytes.ts";
import { type PresharedKey, type PrivateKey, PublicKey } from "../base/keys.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { Initiation, Response, readUint32, writeUint32 } from "./messages.ts";
import { SymmetricState } from "./noise.ts";

const nothing = new Uint8Array(0);

/** Who we are. */
export interface Identity {
  readonly privateKey: PrivateKey;
  readonly publicKey: PublicKey;
}

/** Whom we talk to; `staticStatic` is X25519 of our private and their public key, the same in every handshake. */
export interface Correspondent {
  readonly publicKey: PublicKey;
  readonly presharedKey: PresharedKey;
  readonly staticStatic: Uint8Array;
}

/** What an initiator remembers until the response comes. */
export interface Initiated extends Disposable {
  readonly localIndex: number;
  readonly ephemeral: Uint8Array;
  readonly state: SymmetricState;
}

export interface SessionKeys {
  readonly remoteIndex: number;
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
}

export interface InitiationInput {
  readonly localIndex: number;
  /** A fresh secret of 32 random bytes; kept, and wiped when the handshake ends. */
  readonly ephemeral: Uint8Array;
  readonly timestamp: Uint8Array;
}

/** The first message, its macs still zero. `undefined` where the peer's public key has low order. */
export function createInitiation(
  primitives: Primitives,
  identity: Identity,
  peer: Correspondent,
  { localIndex, ephemeral, timestamp }: InitiationInput,
): { message: Uint8Array; initiated: Initiated } | undefined {
  const shared = primitives.x25519(ephemeral, peer.publicKey.bytes);
  if (shared === undefined) return undefined;
  const message = new Uint8Array(Initiation.size);
  writeUint32(message, 0, Initiation.type);
  writeUint32(message, Initiation.sender, localIndex);
  const state = SymmetricState.initial(primitives, peer.publicKey);
  const point = primitives.publicKey(ephemeral);
  message.set(point, Initiation.ephemeral);
  state.mixEphemeral(point); // e
  state.mixKey(shared); // es
  wipe(shared);
  message.set(state.encryptAndHash(identity.publicKey.bytes), Initiation.encryptedStatic); // s
  state.mixKey(peer.staticStatic); // ss
  message.set(state.encryptAndHash(timestamp), Initiation.encryptedTimestamp);
  const dispose = () => {
    wipe(ephemeral);
    state[Symbol.dispose]();
  };
  return { message, initiated: { localIndex, ephemeral, state, [Symbol.dispose]: dispose } };
}

/** An initiation of which we know whom it claims to be from, and not yet whether it is. Its reader disposes of `state`. */
export interface OpenedInitiation {
  readonly message: Uint8Array;
  readonly publicKey: PublicKey;
  readonly state: SymmetricState;
}

/** Reads the sender's public key. `undefined` where the message was not made for us. */
export function openInitiation(
  primitives: Primitives,
  identity: Identity,
  message: Uint8Array,
): OpenedInitiation | undefined {
  const point = message.subarray(Initiation.ephemeral, Initiation.encryptedStatic);
  const shared = primitives.x25519(identity.privateKey.bytes, point);
  if (shared === undefined) return undefined;
  const state = SymmetricState.initial(primitives, identity.publicKey);
  state.mixEphemeral(point); // e
  state.mixKey(shared); // es
  wipe(shared);
  const key = state.decryptAndHash(message.subarray(Initiation.encryptedStatic, Initiation.encryptedTimestamp)); // s
  return key === undefined ? undefined : { message, publicKey: new PublicKey(key), state };
}

/** Reads the timestamp, which proves that the sender has the key it claims. `undefined` where it does not. */
export function authenticateInitiation(opened: OpenedInitiation, staticStatic: Uint8Array): Uint8Array | undefined {
  opened.state.mixKey(staticStatic); // ss
  return opened.state.decryptAndHash(opened.message.subarray(Initiation.encryptedTimestamp, Initiation.mac1));
}

/** What the responder brings along: an index for messages to it, and a fresh secret of 32 random bytes, which is wiped. */
export interface ResponseInput {
  readonly localIndex: number;
  readonly ephemeral: Uint8Array;
}

/** A response, its macs still zero, and the keys of the session. */
export interface CreatedResponse {
  readonly message: Uint8Array;
  readonly keys: SessionKeys;
}

/**
 * Answers an authenticated initiation, in this thread at once or in another one later: `done` is told the response, or
 * `undefined` where there is none. What is needed of the arguments is taken before the call returns.
 */
export type Respond = (
  peer: Correspondent,
  opened: OpenedInitiation,
  input: ResponseInput,
  done: (created: CreatedResponse | undefined) => void,
) => void;

/** The answer to an authenticated initiation. `undefined` where a point of the peer's has low order. */
export function createResponse(
  primitives: Primitives,
  peer: Correspondent,
  { message: initiation, state }: OpenedInitiation,
  { localIndex, ephemeral }: ResponseInput,
): CreatedResponse | undefined {
  const message = new Uint8Array(Response.size);
  const remoteIndex = readUint32(initiation, Initiation.sender);
  writeUint32(message, 0, Response.type);
  writeUint32(message, Response.sender, localIndex);
  writeUint32(message, Response.receiver, remoteIndex);
  const point = primitives.publicKey(ephemeral);
  message.set(point, Response.ephemeral);
  state.mixEphemeral(point); // e
  const remotePoint = initiation.subarray(Initiation.ephemeral, Initiation.encryptedStatic);
  const mixed = mixSecrets(state, [
    primitives.x25519(ephemeral, remotePoint), // ee
    primitives.x25519(ephemeral, peer.publicKey.bytes), // se
  ]);
  wipe(ephemeral);
  if (!mixed) return undefined;
  state.mixKeyAndHash(peer.presharedKey.bytes); // psk
  message.set(state.encryptAndHash(nothing), Response.encryptedNothing);
  const [receiveKey, sendKey] = state.split();
  return { message, keys: { remoteIndex, sendKey, receiveKey } };
}

/**
 * Reads a response to our initiation. `undefined` where it is not authentic; the handshake then goes on waiting for one
 * that is, since a stranger may have sent this one.
 */
export function consumeResponse(
  primitives: Primitives,
  identity: Identity,
  presharedKey: PresharedKey,
  initiated: Initiated,
  message: Uint8Array,
): SessionKeys | undefined {
  using state = initiated.state.clone();
  const point = message.subarray(Response.ephemeral, Response.encryptedNothing);
  state.mixEphemeral(point); // e
  const mixed = mixSecrets(state, [
    primitives.x25519(initiated.ephemeral, point), // ee
    primitives.x25519(identity.privateKey.bytes, point), // se
  ]);
  if (!mixed) return undefined;
  state.mixKeyAndHash(presharedKey.bytes); // psk
  if (state.decryptAndHash(message.subarray(Response.encryptedNothing, Response.mac1)) === undefined) return undefined;
  const [sendKey, receiveKey] = state.split();
  return { remoteIndex: readUint32(message, Response.sender), sendKey, receiveKey };
}

/** Whether every shared secret was a proper one; all are mixed in and wiped. */
function mixSecrets(state: SymmetricState, secrets: readonly (Uint8Array | undefined)[]): boolean {
  for (const secret of secrets) {
    if (secret === undefined) return false;
    state.mixChainKey(secret);
    wipe(secret);
  }
  return true;
}
