/** What a relay has done so far, in all its connections, those that are gone included. */
import { type CloseReason, type DatagramLink, type LinkDrop, linkDrops } from "./datagram-link.ts";

export class RelayTally {
  links = 0;
  sentDatagrams = 0;
  sentBytes = 0;
  receivedDatagrams = 0;
  receivedBytes = 0;
  readonly dropped: Record<LinkDrop | RelayDrop, number> = {
    "queue-full": 0,
    "datagram-empty": 0,
    "datagram-too-large": 0,
    "link-closed": 0,
    "flows-full": 0,
    unconnected: 0,
    "udp-refused": 0,
  };
  readonly closed: Partial<Record<CloseReason, number>> = {};

  /** Adds what a link did in its life. */
  add({ counters }: DatagramLink, reason: CloseReason): void {
    this.links++;
    this.sentDatagrams += counters.sentDatagrams;
    this.sentBytes += counters.sentBytes;
    this.receivedDatagrams += counters.receivedDatagrams;
    this.receivedBytes += counters.receivedBytes;
    for (const drop of linkDrops) this.dropped[drop] += counters.dropped[drop];
    this.closed[reason] = (this.closed[reason] ?? 0) + 1;
  }
}

/** Datagrams that no link was to blame for: no place for another source, no connection yet, or UDP said no. */
type RelayDrop = "flows-full" | "unconnected" | "udp-refused";
