/**
 * What a rule of nf_tables says, as netlink attributes; pure. A rule is a list of expressions: some load a field into
 * register 1 and compare it, which ends the rule where it differs; the last one acts. Attributes are in network order,
 * unlike the rest of netlink (linux/netfilter/nf_tables.h); what a register holds is in the packet's own order, and in
 * the machine's where it comes from the kernel.
 */
import type { AddressFamily, Cidr } from "../base/address.ts";
import { concatBytes } from "../base/bytes.ts";
import { attribute, u8, u32, viewOf } from "./netlink-message.ts";

/** One step of a rule, encoded. */
export type Expression = Uint8Array;

export const Protocol = { tcp: 6, udp: 17, icmpv6: 58 } as const;

const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;

const NFT_REG_VERDICT = 0;
const NFT_REG_1 = 1;
const NFT_META_MARK = 3;
const NFT_META_IIFNAME = 6;
const NFT_META_OIFNAME = 7;
const NFT_META_NFPROTO = 15;
const NFT_META_L4PROTO = 16;
const NFT_CT_MARK = 3;
const NFT_FIB_RESULT_ADDRTYPE = 3;
const NFTA_FIB_F_SADDR = 1;
const RTN_LOCAL = 2;
const NFT_NG_RANDOM = 1;
const NFT_CMP_EQ = 0;
const NFT_CMP_NEQ = 1;
const NFT_RANGE_EQ = 0;
const NFT_PAYLOAD_NETWORK_HEADER = 1;
const NFT_PAYLOAD_TRANSPORT_HEADER = 2;
const NFT_REJECT_ICMPX_UNREACH = 2;
const NFT_REJECT_ICMPX_ADMIN_PROHIBITED = 3;
const NF_DROP = 0;
const NF_ACCEPT = 1;
const nameSize = 16; // of an interface, in its register

/** What a rule is about. Each is true, or the rule ends there. */
export const Match = {
  inputInterface: (name: string): Expression[] => [meta(NFT_META_IIFNAME), compare(interfaceName(name))],
  otherInputInterface: (name: string): Expression[] => [
    meta(NFT_META_IIFNAME),
    compare(interfaceName(name), NFT_CMP_NEQ),
  ],
  outputInterface: (name: string): Expression[] => [meta(NFT_META_OIFNAME), compare(interfaceName(name))],
  otherOutputInterface: (name: string): Expression[] => [
    meta(NFT_META_OIFNAME),
    compare(interfaceName(name), NFT_CMP_NEQ),
  ],
  /** The packet's firewall mark, as SO_MARK sets it on all that a socket sends. */
  mark: (mark: number): Expression[] => [meta(NFT_META_MARK), compare(u32(mark))],
  source: (prefix: Cidr): Expression[] => addressIn(prefix, prefix.family === 4 ? 12 : 8),
  destination: (prefix: Cidr): Expression[] => addressIn(prefix, prefix.family === 4 ? 16 : 24),
  /** The source is no address of this machine. Needs the kernel's module nft_fib_inet. */
  foreignSource: (): Expression[] => [fibSourceType(), compare(u32(RTN_LOCAL), NFT_CMP_NEQ)],
  family: (family: AddressFamily): Expression[] => [meta(NFT_META_NFPROTO), compare(u8(family === 4 ? 2 : 10))],
  protocol: (protocol: number): Expression[] => [meta(NFT_META_L4PROTO), compare(u8(protocol))],
  udpDestinationPort: (port: number): Expression[] => destinationPort(Protocol.udp, port),
  tcpDestinationPort: (port: number): Expression[] => destinationPort(Protocol.tcp, port),
  udpPorts: (source: number, destination: number): Expression[] => [
    ...Match.protocol(Protocol.udp),
    payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4),
    compare(concatBytes(be16(source), be16(destination))),
  ],
  /** Types of ICMPv6, both ends included. */
  icmpv6Types: (first: number, last: number): Expression[] => [
    ...Match.protocol(Protocol.icmpv6),
    payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1),
    first === last ? compare(u8(first)) : range(u8(first), u8(last)),
  ],
  /** One packet in so many, by chance. */
  oneIn: (count: number): Expression[] => [random(count), compare(u32(0))],
} as const;

/** What becomes of a packet for which all of a rule's matches are true. */
export const Action: Readonly<Record<"count" | "accept" | "drop" | "reject" | "masquerade", Expression>> = {
  /** Counts packets and bytes, for whoever looks with `nft list ruleset`, and goes on. */
  count: expression("counter"),
  accept: verdict(NF_ACCEPT),
  drop: verdict(NF_DROP),
  /** Drops it and tells the sender that this is prohibited, so that nobody waits for an answer. */
  reject: expression(
    "reject",
    attribute(1, be32(NFT_REJECT_ICMPX_UNREACH)),
    attribute(2, u8(NFT_REJECT_ICMPX_ADMIN_PROHIBITED)),
  ),
  /** Gives it the address of the interface it leaves by. In a `nat` chain on `postrouting`. */
  masquerade: expression("masq"),
};

/** Copies the packet's mark to its connection, and back; the rule goes on after it. */
export const MarkTransfer: Readonly<Record<"toConnection" | "toPacket", readonly Expression[]>> = {
  toConnection: [meta(NFT_META_MARK), expression("ct", attribute(2, be32(NFT_CT_MARK)), attribute(4, be32(NFT_REG_1)))],
  toPacket: [
    expression("ct", attribute(1, be32(NFT_REG_1)), attribute(2, be32(NFT_CT_MARK))),
    expression("meta", attribute(2, be32(NFT_META_MARK)), attribute(3, be32(NFT_REG_1))),
  ],
};

function expression(name: string, ...attributes: readonly Uint8Array[]): Expression {
  const data = attributes.length === 0 ? [] : [attribute(NFTA_EXPR_DATA, attributes)];
  return concatBytes(attribute(NFTA_EXPR_NAME, name), ...data);
}

/** Loads a property of the packet: attributes are the register and the key. */
function meta(key: number): Expression {
  return expression("meta", attribute(1, be32(NFT_REG_1)), attribute(2, be32(key)));
}

/** Loads a random number below `modulus`: attributes are the register, the modulus, and that it is random. */
function random(modulus: number): Expression {
  const numbers = [NFT_REG_1, modulus, NFT_NG_RANDOM];
  return expression("numgen", ...numbers.map((value, i) => attribute(i + 1, be32(value))));
}

/** Loads bytes of a header: attributes are the register, the header, the offset and the length. */
function payload(header: number, offset: number, length: number): Expression {
  const numbers = [NFT_REG_1, header, offset, length];
  return expression("payload", ...numbers.map((value, i) => attribute(i + 1, be32(value))));
}

/** Loads what routing makes of the source address: attributes are the register, what is asked, and of what. */
function fibSourceType(): Expression {
  const numbers = [NFT_REG_1, NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_SADDR];
  return expression("fib", ...numbers.map((value, i) => attribute(i + 1, be32(value))));
}

/** Masks the register: attributes are source, destination, length, mask, and what to XOR with. */
function mask(bits: Uint8Array): Expression {
  return expression(
    "bitwise",
    attribute(1, be32(NFT_REG_1)),
    attribute(2, be32(NFT_REG_1)),
    attribute(3, be32(bits.length)),
    attribute(4, [attribute(NFTA_DATA_VALUE, bits)]),
    attribute(5, [attribute(NFTA_DATA_VALUE, new Uint8Array(bits.length))]),
  );
}

/** Compares the register: attributes are the register, the operation and the value. */
function compare(value: Uint8Array, operation: number = NFT_CMP_EQ): Expression {
  return expression(
    "cmp",
    attribute(1, be32(NFT_REG_1)),
    attribute(2, be32(operation)),
    attribute(3, [attribute(NFTA_DATA_VALUE, value)]),
  );
}

/** Whether the register lies between two values: attributes are the register, the operation, and both. */
function range(first: Uint8Array, last: Uint8Array): Expression {
  return expression(
    "range",
    attribute(1, be32(NFT_REG_1)),
    attribute(2, be32(NFT_RANGE_EQ)),
    attribute(3, [attribute(NFTA_DATA_VALUE, first)]),
    attribute(4, [attribute(NFTA_DATA_VALUE, last)]),
  );
}

/** Ends the chain: attributes are the register, which is the verdict's, and the value. */
function verdict(code: number): Expression {
  const value = attribute(NFTA_DATA_VERDICT, [attribute(NFTA_VERDICT_CODE, be32(code))]);
  return expression("immediate", attribute(1, be32(NFT_REG_VERDICT)), attribute(2, [value]));
}

/** First the family, since an inet table sees both and the offset means nothing in the other's header. */
function addressIn(prefix: Cidr, offset: number): Expression[] {
  const { address } = prefix;
  const ones = new Uint8Array(address.bytes.length).map(
    (_, i) => 0xff00 >> Math.min(8, Math.max(0, prefix.prefix - 8 * i)),
  );
  return [
    ...Match.family(prefix.family),
    payload(NFT_PAYLOAD_NETWORK_HEADER, offset, address.bytes.length),
    mask(ones),
    compare(prefix.network.address.bytes),
  ];
}

function destinationPort(protocol: number, port: number): Expression[] {
  return [...Match.protocol(protocol), payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2), compare(be16(port))];
}

function interfaceName(name: string): Uint8Array {
  const bytes = new Uint8Array(nameSize);
  bytes.set(new TextEncoder().encode(name));
  return bytes;
}

function be16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 255);
}

/** Netlink's numbers in network order, which all of nf_tables' attributes are in. */
export function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setInt32(0, value);
  return bytes;
}
