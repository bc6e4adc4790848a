/**
 * The step `eavesdropper`: what the home router could read of the pings and the questions. That the plaintext is absent
 * from its capture means something only because the same search finds it in the client's end of the tunnel.
 */
import { IpAddress } from "../base/address.ts";
import { fromHex, toHex } from "../base/bytes.ts";
import type { MessageSummary } from "../wireguard/message-summary.ts";
import type { Capture } from "./capture.ts";
import { encodeName } from "./dns-message.ts";
import { verify } from "./journal.ts";
import { countContaining, summariseMessageIn } from "./packet-summary.ts";
import type { Secret, WireguardSteps } from "./stages/wireguard-record.ts";
import { address, tunnelPort } from "./topology.ts";
import { askedName } from "./zone.ts";

const shownBytes = 32;

/** Both captures ran while the pings with this pattern (hexadecimal) and the questions did. */
export function checkSecrecy(wire: Capture, tunnel: Capture, pattern: string): WireguardSteps["eavesdropper"] {
  const eavesdropped = wire.drain();
  const plain = tunnel.drain();
  verify(wire.dropped + tunnel.dropped === 0, "a complete capture", "the kernel's buffer overflowed");
  const secrets = needles(pattern).map(({ what, bytes }): Secret => {
    const seenByEavesdropper = countContaining(eavesdropped, bytes);
    const seenInTunnel = countContaining(plain, bytes);
    verify(seenInTunnel > 0, `${what} in the client's end of the tunnel`, "the search does not find it there");
    verify(seenByEavesdropper === 0, `${what} in no packet on the home router`, `${seenByEavesdropper} contain it`);
    return { what, seenByEavesdropper, seenInTunnel };
  });
  const message = eavesdropped
    .flatMap(({ bytes }) => summariseMessageIn(bytes, tunnelPort) ?? [])
    .find(({ kind, bytes }) => kind === "data" && bytes > shownBytes * 2);
  verify(message !== undefined, "data messages on the home router", "there are none");
  return {
    packets: eavesdropped.length,
    bytes: eavesdropped.reduce((sum, { bytes }) => sum + bytes.length, 0),
    message: observed(message),
    secrets,
  };
}

function needles(pattern: string): { what: string; bytes: Uint8Array }[] {
  const addresses = [...address.tunnelClient, ...address.dns];
  return [
    { what: "the ping's payload", bytes: fromHex(pattern) ?? new Uint8Array(0) },
    { what: `the name ${askedName}`, bytes: encodeName(askedName) },
    ...addresses.map((text) => ({ what: `the address ${text}`, bytes: IpAddress.parse(text).bytes })),
  ];
}

function observed({
  kind,
  type,
  bytes,
  receiver,
  counter,
  ciphertext,
}: MessageSummary): WireguardSteps["eavesdropper"]["message"] {
  return {
    kind,
    type,
    bytes,
    receiver: receiver ?? null,
    counter: counter ?? null,
    ciphertext: ciphertext === undefined ? null : toHex(ciphertext.subarray(0, shownBytes)),
  };
}
