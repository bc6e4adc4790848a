/** The steps of the stage `wireguard` for a reader. Pure. */
import type { PingRun, TunnelStart } from "../record.ts";
import { highlightMark, type StagePlan } from "../stage.ts";
import type { RouteEntry, WireguardSteps } from "./wireguard-record.ts";

export const wireguardAccounts: StagePlan<WireguardSteps>["accounts"] = {
  direct: ({ ping, seenFrom }) => ({
    summary: `without a tunnel ${ping.destination} answers too, and sees the home router: ${seenFrom}`,
  }),
  server: (start) => ({ summary: `${tunnelLine(start)}, forwards, NAT44 and NAT66` }),
  client: (start) => ({ summary: tunnelLine(start) }),
  route: ({ routes }) => ({
    summary: "the client's routing table, and what its kernel chooses",
    evidence: routes.map(routeLine),
  }),
  handshake: ({ initiationBytes, responseBytes }) => ({
    summary: `initiation of ${initiationBytes} bytes, response of ${responseBytes}, first data message`,
  }),
  forward: ({ requests }) => ({
    summary: `the server passed on ${requests.map(({ count, destination }) => `${count} pings to ${destination}`).join(", ")}`,
  }),
  nat: ({ seen }) => ({
    summary: `the dns host sees the server instead: ${seen.map(({ source }) => source).join(", ")}`,
  }),
  ping: ({ runs }) => ({
    summary: `an unmodified program in the client: ${runs[0]?.program}`,
    evidence: runs.flatMap(replyLines),
  }),
  dns: ({ answers }) => ({
    summary: "another, Node's own resolver, asks through the tunnel",
    evidence: answers.map(
      ({ server, name, type, addresses, milliseconds }) =>
        `${name} ${type.padEnd(4)} from ${server}: ${addresses.join(", ")}, ${milliseconds.toFixed(1)} ms`,
    ),
  }),
  eavesdropper: ({ packets, bytes, message, secrets }) => ({
    summary: `the home router captured ${packets} packets, ${bytes} bytes, such as`,
    evidence: [
      `type ${message.type} (${message.kind}), receiver ${hex32(message.receiver)}, counter ${message.counter}, ${message.bytes} bytes:`,
      `${groups(message.ciphertext ?? "")} …`,
      `${"packets that contain".padEnd(36)}on the router  in the client's ${"wg0"}`,
      ...secrets.map(
        ({ what, seenByEavesdropper, seenInTunnel }) =>
          `  ${what.padEnd(34)}${String(seenByEavesdropper).padStart(13)}  ${String(seenInTunnel).padStart(17)}`,
      ),
    ],
  }),
  throughput: ({ gigabitsPerSecond, seconds, bytes }) => ({
    summary: `${gigabitsPerSecond.toFixed(2)} Gbit/s: ${(bytes / 1e6).toFixed(0)} MB over one TCP connection in ${seconds.toFixed(1)} s`,
  }),
};

/** A tunnel that is ready. */
export function tunnelLine({ addresses, port, mtu, aead, readyMs }: TunnelStart): string {
  return `wg0 ${addresses.join(", ")}; UDP ${port}, MTU ${mtu}, cipher ${aead}, ready in ${readyMs} ms`;
}

/** A line of a routing table. */
export function routeLine({ destination, via, device, chosenFor }: RouteEntry): string {
  const chosen = chosenFor === null ? "" : `  ${highlightMark} chosen`;
  const gateway = via === null ? "" : `via ${via}`;
  return `${destination.padEnd(26)} ${gateway.padEnd(21)} dev ${device.padEnd(4)}${chosen}`.trimEnd();
}

/** The lines of a program that pings. */
export function replyLines({ replies: all }: PingRun): string[] {
  return all.map(
    ({ bytes, from, sequence, milliseconds }) =>
      `${bytes} bytes from ${from}: icmp_seq=${sequence} time=${milliseconds} ms`,
  );
}

function hex32(value: number | null): string {
  return value === null ? "none" : `0x${value.toString(16).padStart(8, "0")}`;
}

function groups(hex: string): string {
  return hex.match(/.{1,4}/g)?.join(" ") ?? "";
}
