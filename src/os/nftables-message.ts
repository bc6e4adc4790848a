/**
 * nf_tables' rules as netlink messages; pure. A table holds chains, a chain hangs on a hook of the packet's way through
 * the kernel and holds rules, a rule is a list of expressions: some load a field into register 1 and compare it, which
 * ends the rule where it differs; the last one acts. Attributes are in network order, unlike the rest of netlink
 * (linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h).
 */
import type { Cidr } from "../base/address.ts";
import { concatBytes } from "../base/bytes.ts";
import { attribute, encodeMessage, MessageFlag, u8, viewOf } from "./netlink-message.ts";

/** One step of a rule, encoded. */
export type Expression = Uint8Array;

export interface ChainLayout {
  readonly name: string;
  readonly kind: "filter" | "nat";
  readonly hook: keyof typeof hooks;
  /** Chains on one hook are run from the lowest on; destination NAT is -100, filters are 0, source NAT is 100. */
  readonly priority: number;
  readonly rules: readonly (readonly Expression[])[];
}

export interface TableLayout {
  readonly name: string;
  readonly chains: readonly ChainLayout[];
}

const hooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;

const NFNL_SUBSYS_NFTABLES = 10;
const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFPROTO_INET = 1; // IPv4 and IPv6 in one table; NAT in it from Linux 5.2

const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_NEWRULE = 6;

const NFTA_TABLE_NAME = 1;
const NFTA_TABLE_FLAGS = 2;
/** The table goes with the socket that made it, and no other socket may change it; from Linux 5.12. */
const NFT_TABLE_F_OWNER = 2;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_POLICY = 5;
const NFTA_CHAIN_TYPE = 7;
const NFTA_HOOK_HOOKNUM = 1;
const NFTA_HOOK_PRIORITY = 2;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_LIST_ELEM = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;

const NFT_REG_VERDICT = 0;
const NFT_REG_1 = 1;
const NFT_META_IIFNAME = 6;
const NFT_META_OIFNAME = 7;
const NFT_META_NFPROTO = 15;
const NFT_META_L4PROTO = 16;
const NFT_CMP_EQ = 0;
const NFT_CMP_NEQ = 1;
const NFT_PAYLOAD_NETWORK_HEADER = 1;
const NFT_PAYLOAD_TRANSPORT_HEADER = 2;
const NF_DROP = 0;
const NF_ACCEPT = 1;
const nameSize = 16; // of an interface, in its register

/** What a rule is about. Each is true, or the rule ends there. */
export const Match = {
  inputInterface: (name: string): Expression[] => [meta(NFT_META_IIFNAME), compare(interfaceName(name))],
  outputInterface: (name: string): Expression[] => [meta(NFT_META_OIFNAME), compare(interfaceName(name))],
  otherOutputInterface: (name: string): Expression[] => [
    meta(NFT_META_OIFNAME),
    compare(interfaceName(name), NFT_CMP_NEQ),
  ],
  source: (prefix: Cidr): Expression[] => addressIn(prefix, prefix.family === 4 ? 12 : 8),
  destination: (prefix: Cidr): Expression[] => addressIn(prefix, prefix.family === 4 ? 16 : 24),
  udpDestinationPort: (port: number): Expression[] => [
    meta(NFT_META_L4PROTO),
    compare(u8(17)),
    payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2),
    compare(Uint8Array.of(port >> 8, port & 255)),
  ],
} as const;

/** What becomes of a packet for which all of a rule's matches are true. */
export const Action: Readonly<Record<"count" | "accept" | "drop" | "masquerade", Expression>> = {
  /** Counts packets and bytes, for whoever looks with `nft list ruleset`, and goes on. */
  count: expression("counter"),
  accept: verdict(NF_ACCEPT),
  drop: verdict(NF_DROP),
  /** Gives it the address of the interface it leaves by. In a `nat` chain on `postrouting`. */
  masquerade: expression("masq"),
};

/** The batch that makes a table with all that is in it, and the sequence number of the last message within. */
export function encodeTable(table: TableLayout, owned: boolean): { bytes: Uint8Array; last: number } {
  const create = MessageFlag.create | MessageFlag.exclusive;
  const messages = [
    {
      type: NFT_MSG_NEWTABLE,
      flags: create,
      attributes: [
        attribute(NFTA_TABLE_NAME, table.name),
        attribute(NFTA_TABLE_FLAGS, be32(owned ? NFT_TABLE_F_OWNER : 0)),
      ],
    },
    ...table.chains.map((chain) => ({ type: NFT_MSG_NEWCHAIN, flags: create, attributes: encodeChain(table, chain) })),
    ...table.chains.flatMap((chain) =>
      chain.rules.map((rule) => ({
        type: NFT_MSG_NEWRULE,
        flags: MessageFlag.create | MessageFlag.append,
        attributes: [
          attribute(NFTA_RULE_TABLE, table.name),
          attribute(NFTA_RULE_CHAIN, chain.name),
          attribute(
            NFTA_RULE_EXPRESSIONS,
            rule.map((step) => attribute(NFTA_LIST_ELEM, [step])),
          ),
        ],
      })),
    ),
  ];
  return encodeBatch(messages);
}

/** The batch that deletes a table with all that is in it. */
export function encodeDeletion(table: string): { bytes: Uint8Array; last: number } {
  return encodeBatch([{ type: NFT_MSG_DELTABLE, flags: 0, attributes: [attribute(NFTA_TABLE_NAME, table)] }]);
}

interface BatchMessage {
  readonly type: number;
  readonly flags: number;
  readonly attributes: readonly Uint8Array[];
}

/** Puts messages between the two that make them one transaction. Each is to be acknowledged. */
function encodeBatch(messages: readonly BatchMessage[]): { bytes: Uint8Array; last: number } {
  const bracket = (type: number, sequence: number) =>
    encodeMessage({ type, flags: MessageFlag.request, sequence, body: body(0, NFNL_SUBSYS_NFTABLES) });
  const parts = messages.map(({ type, flags, attributes }, i) =>
    encodeMessage({
      type: (NFNL_SUBSYS_NFTABLES << 8) | type,
      flags: MessageFlag.request | MessageFlag.acknowledge | flags,
      sequence: i + 1,
      body: concatBytes(body(NFPROTO_INET, 0), ...attributes),
    }),
  );
  const last = messages.length;
  const bytes = concatBytes(bracket(NFNL_MSG_BATCH_BEGIN, 0), ...parts, bracket(NFNL_MSG_BATCH_END, last + 1));
  return { bytes, last };
}

/** struct nfgenmsg: family, version, and a resource id in network order. */
function body(family: number, resource: number): Uint8Array {
  return Uint8Array.of(family, 0, resource >> 8, resource & 255);
}

function encodeChain(table: TableLayout, chain: ChainLayout): Uint8Array[] {
  return [
    attribute(NFTA_CHAIN_TABLE, table.name),
    attribute(NFTA_CHAIN_NAME, chain.name),
    attribute(NFTA_CHAIN_HOOK, [
      attribute(NFTA_HOOK_HOOKNUM, be32(hooks[chain.hook])),
      attribute(NFTA_HOOK_PRIORITY, be32(chain.priority)),
    ]),
    attribute(NFTA_CHAIN_POLICY, be32(NF_ACCEPT)),
    attribute(NFTA_CHAIN_TYPE, chain.kind === "nat" ? "nat" : "filter"),
  ];
}

function expression(name: string, ...attributes: readonly Uint8Array[]): Expression {
  const data = attributes.length === 0 ? [] : [attribute(NFTA_EXPR_DATA, attributes)];
  return concatBytes(attribute(NFTA_EXPR_NAME, name), ...data);
}

/** Loads a property of the packet: attributes are the register and the key. */
function meta(key: number): Expression {
  return expression("meta", attribute(1, be32(NFT_REG_1)), attribute(2, be32(key)));
}

/** Loads bytes of a header: attributes are the register, the header, the offset and the length. */
function payload(header: number, offset: number, length: number): Expression {
  const numbers = [NFT_REG_1, header, offset, length];
  return expression("payload", ...numbers.map((value, i) => attribute(i + 1, be32(value))));
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
    meta(NFT_META_NFPROTO),
    compare(u8(prefix.family === 4 ? 2 : 10)),
    payload(NFT_PAYLOAD_NETWORK_HEADER, offset, address.bytes.length),
    mask(ones),
    compare(prefix.network.address.bytes),
  ];
}

function interfaceName(name: string): Uint8Array {
  const bytes = new Uint8Array(nameSize);
  bytes.set(new TextEncoder().encode(name));
  return bytes;
}

function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setInt32(0, value);
  return bytes;
}
