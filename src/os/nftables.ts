/**
 * Tables of our own in nf_tables, put in place and taken away as one transaction each, without `nft` or `iptables`.
 *
 * An `InstalledTable` goes with this process: the kernel ties it to the socket that made it, so that it vanishes also
 * after a SIGKILL; a kernel before 5.12 cannot, and then it is deleted on disposal alone, or by the next installation
 * under its name. A `LastingTable` stays until it is removed or the machine restarts.
 *
 * An accept in one table overrides nobody's drop in another: where a firewall of the machine's own drops what is
 * forwarded, ours lets nothing through.
 */
import type { Cidr } from "../base/address.ts";
import { networkNamespaceId } from "./boot.ts";
import { NETLINK_NETFILTER, NetlinkSocket, throwAnswer } from "./netlink.ts";
import { NLMSG_ERROR } from "./netlink-message.ts";
import {
  type Batch,
  encodeDeletion,
  encodeQuestion,
  encodeTable,
  isOwned,
  type TableLayout,
} from "./nftables-message.ts";
import { Action, Match } from "./nftables-rule.ts";
import { Errno, SystemError, type SystemErrorOptions } from "./system-error.ts";

export class InstalledTable implements Disposable {
  readonly name: string;
  /** Whether the kernel removes the table should this process be killed. */
  readonly owned: boolean;
  readonly #socket: NetlinkSocket;

  private constructor(name: string, owned: boolean, socket: NetlinkSocket) {
    this.name = name;
    this.owned = owned;
    this.#socket = socket;
  }

  /**
   * Installs a table in the network namespace of this thread, in place of one that an earlier process left behind.
   * Throws `name-taken` where a live process has a table of this name.
   */
  static install(table: TableLayout): InstalledTable {
    const socket = openSocket(table.name);
    try {
      remove(socket, table.name);
      return new InstalledTable(table.name, create(socket, table), socket);
    } catch (error) {
      socket[Symbol.dispose]();
      throw error;
    }
  }

  /** Puts another in its place under the same name, in one transaction: a packet meets one of them. */
  replace(layout: TableLayout): void {
    const ownership = this.owned ? "socket" : "nobody";
    transact(this.#socket, "NFT_MSG_NEWTABLE", this.name, encodeTable(layout, { ownership, replace: true }));
  }

  [Symbol.dispose](): void {
    try {
      remove(this.#socket, this.name);
    } finally {
      this.#socket[Symbol.dispose]();
    }
  }
}

/** The sockets that keep others from lasting tables of this process, by network namespace and table. */
const holders = new Map<string, NetlinkSocket>();

/** Tables that outlast this process, in the network namespace of this thread. */
export const LastingTable = {
  /**
   * Installs a table, in place of one of its name if there is one, in one transaction: a packet meets either the old one
   * or the new one whole, or chains of the new one that have no rules yet and go by their policy. While this process
   * lives nobody else can change or flush it; a kernel before 6.9 cannot prevent that. Throws `name-taken` where that
   * holds for another process.
   */
  install(table: TableLayout): void {
    const key = holderOf(table.name);
    const held = holders.get(key);
    const socket = held ?? openSocket(table.name);
    try {
      transact(
        socket,
        "NFT_MSG_NEWTABLE",
        table.name,
        encodeTable(table, { ownership: "socket-then-nobody", replace: true }),
      );
      holders.set(key, socket);
    } catch (error) {
      if (held !== undefined) throw error;
      socket[Symbol.dispose]();
      if (!isUnknownToKernel(error)) throw error;
      LastingTable.installUnheld(table);
    }
  },

  /** The same for any kernel, in which whoever may change nf_tables may change it. */
  installUnheld(table: TableLayout): void {
    using socket = openSocket(table.name);
    transact(socket, "NFT_MSG_NEWTABLE", table.name, encodeTable(table, { ownership: "nobody", replace: true }));
  },

  /** Whether there is a table of that name that no living process holds. */
  isLeft(name: string): boolean {
    using socket = openSocket(name);
    try {
      const answers = socket.request({ ...encodeQuestion(name), name: "NFT_MSG_GETTABLE" });
      return answers.some((answer) => !isOwned(answer.body));
    } catch (error) {
      if (error instanceof SystemError && error.errno === Errno.ENOENT) return false;
      throw error;
    }
  },

  /** Whether there was one. */
  remove(name: string): boolean {
    const key = holderOf(name);
    using socket = holders.get(key) ?? openSocket(name);
    holders.delete(key);
    return remove(socket, name);
  },
} as const;

function holderOf(table: string): string {
  return `${networkNamespaceId()} ${table}`;
}

/**
 * What a gateway needs: everything to and from the tunnel is forwarded, and what comes from these prefixes and leaves by
 * another interface than the tunnel goes out under this machine's own address.
 */
export function gatewayTable(name: string, tunnel: string, sources: readonly Cidr[]): TableLayout {
  return {
    name,
    chains: [
      {
        name: "forward",
        kind: "filter",
        hook: "forward",
        priority: 0,
        rules: [
          [...Match.inputInterface(tunnel), Action.count, Action.accept],
          [...Match.outputInterface(tunnel), Action.count, Action.accept],
        ],
      },
      {
        name: "postrouting",
        kind: "nat",
        hook: "postrouting",
        priority: 100,
        rules: sources.map((source) => [
          ...Match.source(source),
          ...Match.otherOutputInterface(tunnel),
          Action.count,
          Action.masquerade,
        ]),
      },
    ],
  };
}

function openSocket(table: string): NetlinkSocket {
  try {
    return NetlinkSocket.open(NETLINK_NETFILTER);
  } catch (error) {
    if (!(error instanceof SystemError) || error.errno !== Errno.EPROTONOSUPPORT) throw error;
    throw new SystemError(error.syscall, error.errno, {
      subject: `for the nf_tables table ${table}`,
      code: "not-available",
      remedy: "this kernel has no nf_tables: load it with `modprobe nf_tables`, or do without address translation",
    });
  }
}

/** Makes the table, owned where the kernel can; returns whether it is. */
function create(socket: NetlinkSocket, table: TableLayout): boolean {
  try {
    transact(socket, "NFT_MSG_NEWTABLE", table.name, encodeTable(table, { ownership: "socket" }));
    return true;
  } catch (error) {
    if (!isUnknownToKernel(error)) throw error;
    transact(socket, "NFT_MSG_NEWTABLE", table.name, encodeTable(table, { ownership: "nobody" }));
    return false;
  }
}

/** A flag or a message that came with a later kernel; or something else that is wrong, which is then said again. */
function isUnknownToKernel(error: unknown): boolean {
  return error instanceof SystemError && (error.errno === Errno.EOPNOTSUPP || error.errno === Errno.EINVAL);
}

function remove(socket: NetlinkSocket, table: string): boolean {
  try {
    transact(socket, "NFT_MSG_DELTABLE", table, encodeDeletion(table));
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.errno === Errno.ENOENT) return false;
    throw error;
  }
}

/** Sends a batch, of which all is done or nothing, and throws the first of the kernel's complaints. */
function transact(socket: NetlinkSocket, name: string, table: string, batch: Batch): void {
  const answers = socket.batch(batch.bytes, { name, subject: `for the table ${table}` });
  for (const answer of answers) {
    throwAnswer({ name, explain: (errno) => explain(errno, name, table, answer.sequence > 0) }, answer);
  }
  const done = answers.some((answer) => answer.type === NLMSG_ERROR && answer.sequence === batch.last);
  if (!done) throw new SystemError(name, Errno.EIO, { subject: `for the table ${table}, unanswered,` });
}

/** `inside` says that the batch was taken and a message in it refused; without privilege the batch itself is. */
function explain(errno: number, name: string, table: string, inside: boolean): SystemErrorOptions {
  const subject = `for the table ${table}`;
  if (errno === Errno.EPERM && inside) {
    const remedy = "a running process has this table: stop it, or choose another name";
    return { subject, code: "name-taken", remedy };
  }
  if (errno === Errno.ENOENT && name === "NFT_MSG_NEWTABLE") {
    return {
      subject,
      code: "not-available",
      remedy: "this kernel lacks part of nf_tables: are modules such as nft_masq or nft_reject_inet there?",
    };
  }
  return { subject };
}
