/**
 * The kill switch: an nf_tables table that lets nothing leave this machine but through the tunnel. It belongs to no
 * process, so it holds while none runs: after a SIGKILL the tunnel's interface is gone and all but what the tunnel's own
 * sockets would send is refused, until `warren up` takes the table over or `warren down` removes it.
 *
 * What may pass beside the tunnel: loopback, datagrams with the tunnel's mark, DHCP, and neighbour and router discovery,
 * without which a link does not work at all; by choice the local network. IPv6 is refused like all else where the
 * tunnel has none. What comes in is not looked at: it gets no answer. ARP and raw frames (AF_PACKET) do not pass
 * nf_tables' IP hooks.
 */
import { Cidr } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { LastingTable } from "../os/nftables.ts";
import type { ChainLayout, TableLayout } from "../os/nftables-message.ts";
import { Action, type Expression, Match } from "../os/nftables-rule.ts";
import { Errno, SystemError } from "../os/system-error.ts";

export interface KillSwitchOptions {
  /** The firewall mark of the tunnel's sockets; not 0, which every packet has. */
  readonly mark: number;
  /** Whether private and link-local addresses outside the tunnel may be spoken to. */
  readonly lan?: boolean;
  /** Networks inside the tunnel: its addresses, and allowed IPs. Where private, they are not the local network. */
  readonly inside?: readonly Cidr[];
  /** Whether the tunnel brings its own name servers: those of the local network are then not to be asked. */
  readonly hasResolvers?: boolean;
}

type Rule = readonly Expression[];

/**
 * Private and link-local addresses, and multicast and broadcast that no router carries off the site (RFC 1918, 3927,
 * 4193, 4291, 2365).
 */
const localNetworks = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "169.254.0.0/16",
  "224.0.0.0/24",
  "239.255.0.0/16",
  "255.255.255.255/32",
  "fc00::/7",
  "fe80::/10",
  "ff02::/16",
  "ff05::/16",
].map(Cidr.parse);
const linkMulticast = Cidr.parse("ff02::/16");
const dnsPort = 53;

/** The kill switch of the tunnel that is, was or will be called `name`, in the network namespace of this thread. */
export const KillSwitch = {
  /** What the table is called, for the journal and for whoever looks with `nft list ruleset`. */
  tableName: (name: string): string => `warren-kill-switch-${name}`,

  /**
   * Puts it in place. One that is there is replaced in one transaction, in which nothing passes that neither of the two
   * lets pass. Throws `invalid-argument` without a mark, and what the kernel refuses as `SystemError`s.
   */
  install(name: string, options: KillSwitchOptions): void {
    if (options.mark === 0) {
      throw new VpnError("invalid-argument", `the kill switch of ${name} needs a firewall mark`, {
        remedy: "give the interface a FwMark other than 0",
      });
    }
    try {
      LastingTable.install(killSwitchTable(name, options));
    } catch (error) {
      // A kernel without nft_reject_inet. Who is refused then waits, which is worse only for who waits.
      if (!(error instanceof SystemError) || error.errno !== Errno.ENOENT) throw error;
      LastingTable.install(killSwitchTable(name, options, Action.drop));
    }
  },

  /** Whether there is one that no living process holds, as far as this one may know. */
  isLeft(name: string): boolean {
    try {
      return LastingTable.isLeft(KillSwitch.tableName(name));
    } catch (error) {
      if (error instanceof SystemError) return false; // no nf_tables here, or not for us, who then made none
      throw error;
    }
  },

  /** Takes it away. Whether there was one. */
  remove: (name: string): boolean => LastingTable.remove(KillSwitch.tableName(name)),
} as const;

/** The table as a value. */
export function killSwitchTable(
  name: string,
  options: KillSwitchOptions,
  refusal: Expression = Action.reject,
): TableLayout {
  const local = options.lan === true ? localRules(options, refusal) : [];
  const refuseTheRest: Rule = [Action.count, refusal];
  return {
    name: KillSwitch.tableName(name),
    chains: [
      chain("output", [
        [...Match.outputInterface("lo"), Action.accept],
        [...Match.mark(options.mark), Action.accept],
        [...Match.outputInterface(name), Action.accept],
        ...linkRules,
        ...local,
        refuseTheRest,
      ]),
      chain("forward", [
        [...Match.outputInterface(name), Action.accept],
        [...Match.inputInterface(name), Action.accept],
        ...local,
        refuseTheRest,
      ]),
    ],
  };
}

/** The policy counts before the rules are there, while the table is being put in place. */
function chain(hook: "output" | "forward", rules: readonly Rule[]): ChainLayout {
  return { name: hook, kind: "filter", hook, priority: 0, policy: "drop", rules };
}

/** DHCPv4 and DHCPv6 as a client, router and neighbour discovery, and the multicast reports that snooping switches need. */
const linkRules: readonly Rule[] = [
  [...Match.family(4), ...Match.udpPorts(68, 67), Action.accept],
  [...Match.family(6), ...Match.udpPorts(546, 547), Action.accept],
  [...Match.icmpv6Types(133, 136), Action.accept],
  [...Match.destination(linkMulticast), ...Match.icmpv6Types(131, 132), Action.accept],
  [...Match.destination(linkMulticast), ...Match.icmpv6Types(143, 143), Action.accept],
];

/**
 * What the tunnel has taken of the private addresses stays in it, also while there is no tunnel. An allowed IP wider
 * than the local networks, such as a default route, takes nothing of them.
 */
function localRules({ inside = [], hasResolvers = false }: KillSwitchOptions, refusal: Expression): Rule[] {
  const taken = inside
    .map((prefix) => prefix.network)
    .filter((prefix) => localNetworks.some((local) => local.prefix <= prefix.prefix && local.contains(prefix.address)));
  const askNobody = [Match.udpDestinationPort(dnsPort), Match.tcpDestinationPort(dnsPort)];
  return [
    ...taken.map((prefix) => [...Match.destination(prefix), Action.count, refusal]),
    ...(hasResolvers ? askNobody.map((match) => [...match, Action.count, refusal]) : []),
    ...localNetworks.map((prefix) => [...Match.destination(prefix), Action.accept]),
  ];
}
