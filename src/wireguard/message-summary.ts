/** All that a message shows to one without the keys. Pure. */
import { CookieReply, Data, Initiation, messageType, Response, readCounter, readUint32 } from "./messages.ts";

export interface MessageSummary {
  readonly kind: "initiation" | "response" | "cookie reply" | "data";
  readonly type: number;
  readonly bytes: number;
  /** Whom it is for: the index the receiver chose. An initiation has none yet. */
  readonly receiver: number | undefined;
  /** Of a data message: its number in the session. */
  readonly counter: number | undefined;
  /** Of a data message: the sealed packet with its tag. */
  readonly ciphertext: Uint8Array | undefined;
}

/** Reads a message; `undefined` for what is none. */
export function summariseMessage(message: Uint8Array): MessageSummary | undefined {
  const base = { type: message[0], bytes: message.length, counter: undefined, ciphertext: undefined };
  switch (messageType(message)) {
    case Initiation.type:
      return { ...base, kind: "initiation", receiver: undefined };
    case Response.type:
      return { ...base, kind: "response", receiver: readUint32(message, Response.receiver) };
    case CookieReply.type:
      return { ...base, kind: "cookie reply", receiver: readUint32(message, CookieReply.receiver) };
    case Data.type:
      return {
        ...base,
        kind: "data",
        receiver: readUint32(message, Data.receiver),
        counter: readCounter(message, Data.counter),
        ciphertext: message.subarray(Data.payload),
      };
    default:
      return undefined;
  }
}
