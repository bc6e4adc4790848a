/** The steps of the stage `tun` as data, and for a reader. Pure. */
import { fieldLines, groups, hexLines, type PacketRecord } from "../packet-account.ts";
import type { PingRun } from "../record.ts";
import type { Account, StagePlan } from "../stage.ts";

export interface ReadPacket extends PacketRecord {
  /** What was typed: nothing but the address. */
  readonly destination: string;
  /** What the kernel itself had sent into the device before, each in a few words. */
  readonly before: readonly string[];
}

export interface WrittenPacket extends PacketRecord {
  /** What `write` returned. */
  readonly written: number;
  /** What was changed of the packet that had been read. */
  readonly changes: readonly string[];
  readonly ping: PingRun;
}

export type TunSteps = {
  open: { readonly path: string; readonly flags: string; readonly fd: number };
  attach: {
    readonly request: string;
    readonly flags: number;
    /** struct ifreq before and after the call, in hexadecimal. */
    readonly before: string;
    readonly after: string;
    readonly name: string;
    /** What the kernel says of the new interface. */
    readonly link: { readonly index: number; readonly kind: string | null; readonly mtu: number; readonly up: boolean };
  };
  address: { readonly addresses: readonly string[] };
  up: { readonly up: boolean; readonly routes: readonly string[] };
  route: { readonly destinations: readonly string[]; readonly chosen: readonly string[] };
  read: ReadPacket;
  answer: WrittenPacket;
  read6: ReadPacket;
  answer6: WrittenPacket;
  close: { readonly gone: string };
};

export const tunAccounts: StagePlan<TunSteps>["accounts"] = {
  open: ({ path, flags, fd }) => ({ summary: `open("${path}", ${flags}) = ${fd}` }),
  attach: ({ request, flags, before, after, name, link }) => ({
    summary: `ioctl(fd, TUNSETIFF = ${request}, &ifr) = 0: there is now an interface ${name}`,
    evidence: [
      `struct ifreq, ${before.length / 2} bytes: ifr_name at 0, ifr_flags at 16, in this machine's byte order`,
      `  flags 0x${flags.toString(16)} = IFF_TUN 0x0001 (IP packets, no Ethernet) | IFF_NO_PI 0x1000 (nothing before them)`,
      "before the call",
      ...hexLines(before).map((line) => `  ${line}`),
      "after it: the kernel has put a number for %d",
      ...hexLines(after).map((line) => `  ${line}`),
      `the kernel lists it: index ${link.index}, kind ${link.kind}, MTU ${link.mtu}, ${upOrDown(link.up)}`,
    ],
  }),
  address: ({ addresses }) => ({ summary: `RTM_NEWADDR ${addresses.join(", ")}: what \`ip address add\` sends` }),
  up: ({ up, routes }) => ({
    summary: `RTM_NEWLINK with IFF_UP: the interface is ${upOrDown(up)}, and has its own network's routes`,
    evidence: routes,
  }),
  route: ({ destinations, chosen }) => ({
    summary: `RTM_NEWROUTE ${destinations.join(", ")}: what \`ip route add\` sends`,
    evidence: chosen,
  }),
  read: (read) => account(read),
  answer: (written) => answer(written),
  read6: (read) => account(read),
  answer6: (written) => answer(written),
  close: ({ gone }) => ({ summary: `close(fd) = 0: ${gone} is gone, and its addresses and routes with it` }),
};

function account({ destination, before, bytes, fields }: ReadPacket): Account {
  return {
    summary: `a program pings ${destination}; read(fd) = ${bytes.length / 2} bytes: the packet, and nothing else`,
    evidence: [
      ...(before.length === 0 ? [] : [`before it, of the kernel's own: ${before.join(", ")}`]),
      ...hexLines(bytes),
      ...fieldLines(fields),
    ],
  };
}

function answer({ written, changes, ping, bytes }: WrittenPacket): Account {
  const [reply] = ping.replies;
  return {
    summary: `write(fd) = ${written}: the same packet, turned round by hand`,
    evidence: [
      ...changes,
      `${groups(bytes.slice(0, 64))} …`,
      `and ${ping.program} says: ${reply.bytes} bytes from ${reply.from}: icmp_seq=${reply.sequence} time=${reply.milliseconds} ms`,
    ],
  };
}

function upOrDown(up: boolean): string {
  return up ? "up" : "down";
}
