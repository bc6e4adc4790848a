/**
 * A link as slow as a real one: a token bucket filter (tc-tbf(8)) on what an interface sends, through rtnetlink. Rates
 * count whole packets with their link-layer header. `netem` would do more, and many kernels lack it.
 */
import { concatBytes } from "../base/bytes.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./netlink.ts";
import { attribute, MessageFlag, u32, viewOf } from "./netlink-message.ts";

const RTM_NEWLINK = 16;
const RTM_NEWQDISC = 36;
const TC_H_ROOT = 0xffff_ffff;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_TBF_PARMS = 1;
const TCA_TBF_BURST = 6;
const TC_LINKLAYER_ETHERNET = 1;
const IFLA_GSO_MAX_SEGS = 40;

/** struct tcmsg, struct tc_tbf_qopt with its two struct tc_ratespec, and struct ifinfomsg. */
const TrafficBody = { size: 20, index: 4, parent: 12 } as const;
const BucketOptions = { size: 36, linkLayer: 1, rate: 8, limit: 24 } as const;
const LinkBody = { size: 16, index: 4 } as const;

export interface TokenBucket {
  readonly bitsPerSecond: number;
  /** What may wait; more is dropped. */
  readonly queueBytes: number;
  /** What may go at once. No packet may be longer. */
  readonly burstBytes: number;
}

/** Slows down what an interface of this thread's network namespace sends. */
export function shapeTraffic(index: number, bucket: TokenBucket): void {
  using socket = NetlinkSocket.open(NETLINK_ROUTE);
  socket.request({
    type: RTM_NEWQDISC,
    name: "RTM_NEWQDISC",
    flags: MessageFlag.create | MessageFlag.replace,
    body: encodeTokenBucket(index, bucket),
    explain: { subject: `for tbf on interface ${index}`, remedy: "does this kernel have sch_tbf?" },
  });
}

/** Has an interface of this thread's network namespace send every segment as a packet of its own, as a real one does. */
export function sendSingleSegments(index: number): void {
  using socket = NetlinkSocket.open(NETLINK_ROUTE);
  const body = new Uint8Array(LinkBody.size);
  viewOf(body).setInt32(LinkBody.index, index, true);
  socket.request({
    type: RTM_NEWLINK,
    name: "RTM_NEWLINK",
    body: concatBytes(body, attribute(IFLA_GSO_MAX_SEGS, u32(1))),
    explain: { subject: `for the segments of interface ${index}` },
  });
}

export function encodeTokenBucket(index: number, { bitsPerSecond, queueBytes, burstBytes }: TokenBucket): Uint8Array {
  const body = new Uint8Array(TrafficBody.size);
  viewOf(body).setInt32(TrafficBody.index, index, true);
  viewOf(body).setUint32(TrafficBody.parent, TC_H_ROOT, true);
  const options = new Uint8Array(BucketOptions.size);
  options[BucketOptions.linkLayer] = TC_LINKLAYER_ETHERNET; // or the kernel would ask for a table of costs
  viewOf(options).setUint32(BucketOptions.rate, bitsPerSecond / 8, true);
  viewOf(options).setUint32(BucketOptions.limit, queueBytes, true);
  return concatBytes(
    body,
    attribute(TCA_KIND, "tbf"),
    attribute(TCA_OPTIONS, [attribute(TCA_TBF_PARMS, options), attribute(TCA_TBF_BURST, u32(burstBytes))]),
  );
}
