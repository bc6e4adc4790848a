/**
 * nf_tables' tables as netlink messages; pure. A table holds chains, a chain hangs on a hook of the packet's way through
 * the kernel and holds rules, of which `nftables-rule.ts` knows what they say. Changes come in batches, of which all is
 * done or nothing (linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h).
 */
import { concatBytes } from "../base/bytes.ts";
import { attribute, decodeAttributes, encodeMessage, MessageFlag, viewOf } from "./netlink-message.ts";
import { be32, type Expression } from "./nftables-rule.ts";

export interface ChainLayout {
  readonly name: string;
  readonly kind: "filter" | "nat";
  readonly hook: keyof typeof hooks;
  /** Chains on one hook are run from the lowest on; raw is -300, mangle -150, NAT -100 and 100, filters are 0. */
  readonly priority: number;
  /** What becomes of a packet that no rule decides on; it is accepted where left out. */
  readonly policy?: "accept" | "drop";
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
const NFT_MSG_GETTABLE = 1;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_NEWRULE = 6;
/** As NFT_MSG_DELTABLE, but that there may be none to delete; from Linux 6.3. */
const NFT_MSG_DESTROYTABLE = 26;

const NFTA_TABLE_NAME = 1;
const NFTA_TABLE_FLAGS = 2;
/** The table goes with the socket that made it, and no other socket may change it; from Linux 5.12. */
const NFT_TABLE_F_OWNER = 2;
/** It does not go with its owner, and may then be anybody's; from Linux 6.9. */
const NFT_TABLE_F_PERSIST = 4;
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
const NF_DROP = 0;
const NF_ACCEPT = 1;

/** A batch of messages, and the sequence number of the last message within. */
export interface Batch {
  readonly bytes: Uint8Array;
  readonly last: number;
}

/**
 * Whose a table is: everybody's; the socket's that makes it, with which it goes; or the socket's for as long as that is
 * there, and then everybody's.
 */
export type TableOwnership = "nobody" | "socket" | "socket-then-nobody";

export interface TableOptions {
  readonly ownership: TableOwnership;
  /** Whether a table of this name makes way in the same batch; else there must be none. */
  readonly replace?: boolean;
}

const ownershipFlags: Readonly<Record<TableOwnership, number>> = {
  nobody: 0,
  socket: NFT_TABLE_F_OWNER,
  "socket-then-nobody": NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST,
};

/** The batch that makes a table with all that is in it. */
export function encodeTable(table: TableLayout, { ownership, replace = false }: TableOptions): Batch {
  const anew = MessageFlag.create | MessageFlag.exclusive;
  const name = attribute(NFTA_TABLE_NAME, table.name);
  const create = (flags: number) => ({
    type: NFT_MSG_NEWTABLE,
    flags,
    attributes: [name, attribute(NFTA_TABLE_FLAGS, be32(ownershipFlags[ownership]))],
  });
  // A kernel before 6.3 deletes only what is there: so it is made first, which does nothing where it is.
  const removal =
    ownership === "socket-then-nobody"
      ? [{ type: NFT_MSG_DESTROYTABLE, flags: 0, attributes: [name] }]
      : [create(MessageFlag.create), { type: NFT_MSG_DELTABLE, flags: 0, attributes: [name] }];
  return encodeBatch([
    ...(replace ? removal : []),
    create(anew),
    ...table.chains.map((chain) => ({ type: NFT_MSG_NEWCHAIN, flags: anew, attributes: encodeChain(table, chain) })),
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
  ]);
}

/** The batch that deletes a table with all that is in it. */
export function encodeDeletion(table: string): Batch {
  return encodeBatch([{ type: NFT_MSG_DELTABLE, flags: 0, attributes: [attribute(NFTA_TABLE_NAME, table)] }]);
}

/** Asks for a table, for `NetlinkSocket.request`; ENOENT is the answer where there is none. */
export function encodeQuestion(table: string): { readonly type: number; readonly body: Uint8Array } {
  return {
    type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE,
    body: concatBytes(body(NFPROTO_INET, 0), attribute(NFTA_TABLE_NAME, table)),
  };
}

/** Whether the body of an answer to it is of a table that belongs to a socket. */
export function isOwned(answer: Uint8Array): boolean {
  const flags = decodeAttributes(answer, body(0, 0).length).get(NFTA_TABLE_FLAGS);
  return flags !== undefined && (viewOf(flags).getUint32(0) & NFT_TABLE_F_OWNER) !== 0;
}

interface BatchMessage {
  readonly type: number;
  readonly flags: number;
  readonly attributes: readonly Uint8Array[];
}

/** Puts messages between the two that make them one transaction. Each is to be acknowledged. */
function encodeBatch(messages: readonly BatchMessage[]): Batch {
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
    attribute(NFTA_CHAIN_POLICY, be32(chain.policy === "drop" ? NF_DROP : NF_ACCEPT)),
    attribute(NFTA_CHAIN_TYPE, chain.kind === "nat" ? "nat" : "filter"),
  ];
}
