/** A thread that makes responses to handshake initiations, one after the other, until it is told to end. */
import { parentPort, workerData } from "node:worker_threads";
import { wipe } from "../base/bytes.ts";
import { PresharedKey, PublicKey } from "../base/keys.ts";
import { createResponse } from "../wireguard/handshake.ts";
import { SymmetricState } from "../wireguard/noise.ts";
import { ArenaPrimitives } from "./arena-primitives.ts";
import { HandshakeSlots, Slot, SlotState } from "./handshake-slots.ts";

/** What main gives such a thread at its start. */
export interface HandshakeWorkerSettings {
  readonly slots: ArrayBuffer | SharedArrayBuffer;
  /** To this word 1 is added, and whoever waits on it is woken, when work is done. */
  readonly wake: { readonly words: Int32Array; readonly index: number };
}

const nothing = new Uint8Array(0);
const keyLength = 32;

const { slots: buffer, wake } = workerData as HandshakeWorkerSettings;
const slots = new HandshakeSlots(buffer);
using primitives = new ArenaPrimitives();
parentPort?.postMessage("ready");
for (let slot = slots.claim(); slot >= 0; slot = slots.claim()) {
  const isDone = respond(slot);
  slots.finish(slot, isDone ? SlotState.done : SlotState.failed);
  Atomics.add(wake.words, wake.index, 1);
  Atomics.notify(wake.words, wake.index, 1);
}

/** Makes what the slot asks for, leaves it there, and overwrites the secrets it was made of. */
function respond(slot: number): boolean {
  const { bytes } = slots;
  const copy = (field: number, length = keyLength) => bytes.slice(slot + field, slot + field + length);
  using state = SymmetricState.restore(primitives, bytes, slot + Slot.symmetricState);
  const psk = copy(Slot.presharedKey);
  using presharedKey = new PresharedKey(psk);
  wipe(psk);
  const publicKey = new PublicKey(copy(Slot.publicKey));
  const ephemeral = copy(Slot.ephemeral);
  const message = copy(Slot.initiation, Slot.initiationLength);
  const localIndex = new DataView(bytes.buffer).getUint32(slot + Slot.localIndex, true);
  bytes.fill(0, slot + Slot.presharedKey, slot + Slot.response);
  const peer = { publicKey, presharedKey, staticStatic: nothing }; // that secret is mixed in already
  const created = createResponse(primitives, peer, { message, publicKey, state }, { localIndex, ephemeral });
  if (created === undefined) return false;
  const { sendKey, receiveKey } = created.keys;
  bytes.set(created.message, slot + Slot.response);
  bytes.set(sendKey, slot + Slot.sendKey);
  bytes.set(receiveKey, slot + Slot.receiveKey);
  wipe(sendKey, receiveKey);
  return true;
}
