/** Policy rules through rtnetlink: what `ip rule` does. A rule says for which packets which table is asked. */
import { type AddressFamily, Cidr, IpAddress } from "../base/address.ts";
import { concatBytes } from "../base/bytes.ts";
import type { NetlinkSocket } from "./netlink.ts";
import {
  attribute,
  decodeAttributes,
  MessageFlag,
  type NetlinkMessage,
  readText,
  readU32,
  u32,
  viewOf,
} from "./netlink-message.ts";
import { AF_INET, AF_INET6 } from "./sockaddr.ts";
import { Errno, SystemError } from "./system-error.ts";

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;

/** struct fib_rule_hdr. */
const RuleBody = { size: 12, family: 0, toPrefix: 1, fromPrefix: 2, table: 4, action: 7, flags: 8 } as const;
const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FRA_TABLE = 15;
const FRA_FWMASK = 16;
const FR_ACT_TO_TBL = 1;
const FIB_RULE_INVERT = 2;
const RT_TABLE_COMPAT = 252;
const unsuppressed = 0xffff_ffff;

export interface Rule {
  readonly family: AddressFamily;
  readonly table: number;
  /** The lowest is asked first. The kernel chooses one before all others where it is left out. */
  readonly priority?: number | undefined;
  /** The firewall mark of the packets meant. */
  readonly mark?: number | undefined;
  /** The bits of the mark that count, all where left out. */
  readonly mask?: number | undefined;
  /** All packets but those described. */
  readonly invert?: boolean | undefined;
  readonly from?: Cidr | undefined;
  readonly to?: Cidr | undefined;
  /** The name of the interface that the packet came in by; `lo` for what this machine sends. */
  readonly inputInterface?: string | undefined;
  /** Passes over what the table says where its prefix is no longer than this: 0 passes over default routes. */
  readonly suppressPrefixLength?: number | undefined;
}

export class Rules {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  list(family: AddressFamily): Rule[] {
    const body = new Uint8Array(RuleBody.size);
    body[RuleBody.family] = family === 4 ? AF_INET : AF_INET6;
    return this.#socket
      .dump({ type: RTM_GETRULE, name: "RTM_GETRULE", body })
      .flatMap((message) => decodeRule(message) ?? []);
  }

  add(rule: Rule): void {
    this.#request(RTM_NEWRULE, "RTM_NEWRULE", MessageFlag.create | MessageFlag.exclusive, rule);
  }

  /** Whether it was there to remove. Of several that fit the first one goes. */
  remove(rule: Rule): boolean {
    try {
      this.#request(RTM_DELRULE, "RTM_DELRULE", 0, rule);
      return true;
    } catch (error) {
      if (error instanceof SystemError && error.errno === Errno.ENOENT) return false;
      throw error;
    }
  }

  #request(type: number, name: string, flags: number, rule: Rule): void {
    const subject = `for ${JSON.stringify(rule)}`;
    this.#socket.request({
      type,
      name,
      flags,
      body: encodeRule(rule),
      explain: (errno) => {
        switch (errno) {
          case Errno.EEXIST:
            return { subject, remedy: "there is such a rule already: remove it first" };
          case Errno.EAFNOSUPPORT:
          case Errno.EOPNOTSUPP:
            return { subject, remedy: "this kernel is built without policy routing (CONFIG_IP_MULTIPLE_TABLES)" };
          default:
            return { subject };
        }
      },
    });
  }
}

export function encodeRule(rule: Rule): Uint8Array {
  const { family, table, priority, mark, mask, invert, from, to, inputInterface, suppressPrefixLength } = rule;
  const body = new Uint8Array(RuleBody.size);
  body[RuleBody.family] = family === 4 ? AF_INET : AF_INET6;
  body[RuleBody.toPrefix] = to?.prefix ?? 0;
  body[RuleBody.fromPrefix] = from?.prefix ?? 0;
  body[RuleBody.table] = table > 255 ? RT_TABLE_COMPAT : table;
  body[RuleBody.action] = FR_ACT_TO_TBL;
  viewOf(body).setUint32(RuleBody.flags, invert === true ? FIB_RULE_INVERT : 0, true);
  const numbers: readonly [number, number | undefined][] = [
    [FRA_TABLE, table],
    [FRA_PRIORITY, priority],
    [FRA_FWMARK, mark],
    [FRA_FWMASK, mask],
    [FRA_SUPPRESS_PREFIXLEN, suppressPrefixLength],
  ];
  return concatBytes(
    body,
    ...numbers.flatMap(([type, value]) => (value === undefined ? [] : [attribute(type, u32(value))])),
    ...(inputInterface === undefined ? [] : [attribute(FRA_IIFNAME, inputInterface)]),
    ...(to === undefined ? [] : [attribute(FRA_DST, to.network.address.bytes)]),
    ...(from === undefined ? [] : [attribute(FRA_SRC, from.network.address.bytes)]),
  );
}

/** Reads an RTM_NEWRULE; `undefined` for another message and for a rule that does something else than name a table. */
export function decodeRule(message: NetlinkMessage): Rule | undefined {
  const { type, body } = message;
  if (type !== RTM_NEWRULE || body.length < RuleBody.size || body[RuleBody.action] !== FR_ACT_TO_TBL) return undefined;
  const attributes = decodeAttributes(body, RuleBody.size);
  const suppress = readU32(attributes.get(FRA_SUPPRESS_PREFIXLEN));
  return {
    family: body[RuleBody.family] === AF_INET ? 4 : 6,
    table: readU32(attributes.get(FRA_TABLE)) ?? body[RuleBody.table],
    priority: readU32(attributes.get(FRA_PRIORITY)) ?? 0,
    mark: readU32(attributes.get(FRA_FWMARK)),
    mask: readU32(attributes.get(FRA_FWMASK)),
    invert: (viewOf(body).getUint32(RuleBody.flags, true) & FIB_RULE_INVERT) !== 0 || undefined,
    from: prefixOf(attributes.get(FRA_SRC), body[RuleBody.fromPrefix]),
    to: prefixOf(attributes.get(FRA_DST), body[RuleBody.toPrefix]),
    inputInterface: readText(attributes.get(FRA_IIFNAME)),
    suppressPrefixLength: suppress === unsuppressed ? undefined : suppress,
  };
}

function prefixOf(bytes: Uint8Array | undefined, prefix: number): Cidr | undefined {
  return bytes && new Cidr(new IpAddress(bytes), prefix);
}
