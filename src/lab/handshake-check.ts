/** The step `handshake`: an initiation and its response, seen on the wire, whatever the two ends may say about it. */

import type { MessageSummary } from "../wireguard/message-summary.ts";
import type { Capture } from "./capture.ts";
import { verify } from "./journal.ts";
import { summariseMessageIn } from "./packet-summary.ts";
import type { WireguardSteps } from "./stages/wireguard-record.ts";
import { tunnelPort } from "./topology.ts";

/** The first answer takes milliseconds; a lost initiation is sent again after five seconds (whitepaper §6.1). */
const timeoutMs = 4000;

export async function checkHandshake(wire: Capture): Promise<WireguardSteps["handshake"]> {
  const kinds = { initiation: "initiation", response: "response", data: "data" } as const;
  const first = (messages: readonly MessageSummary[], kind: string) =>
    messages.find((message) => message.kind === kind);
  // The initiator's first data message, a keepalive, tells the responder that the keys agree (whitepaper §5.1).
  const done = await wire.find((packets) => {
    const messages = packets.flatMap(({ bytes }) => summariseMessageIn(bytes, tunnelPort) ?? []);
    return first(messages, kinds.data) && messages;
  }, timeoutMs);
  const messages = done ?? wire.packets.flatMap(({ bytes }) => summariseMessageIn(bytes, tunnelPort) ?? []);
  const initiation = first(messages, kinds.initiation);
  const response = first(messages, kinds.response);
  const counts = Object.values(kinds).map(
    (kind) => `${messages.filter((message) => message.kind === kind).length} ${kind}`,
  );
  verify(
    done !== undefined && initiation !== undefined && response !== undefined,
    "an initiation from the client, the server's response, and a first data message",
    `the home router saw ${counts.join(", ")} within ${timeoutMs} ms: do the keys match?`,
  );
  return { initiationBytes: initiation.bytes, responseBytes: response.bytes, messages: messages.length };
}
