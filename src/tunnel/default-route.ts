/**
 * Everything through the tunnel, but for the tunnel's own carriers, as wg-quick does it: a default route in a table of
 * its own, which a policy rule asks for every packet without the tunnel's mark; before it a rule that lets the main
 * table's other routes count, so that the local network stays where it is. Around it nf_tables rules that keep others on
 * the link from speaking to the tunnel's addresses past the tunnel, and that give replies the mark of what they answer,
 * so that the kernel's reverse path filter finds the way they came.
 */
import { type AddressFamily, Cidr } from "../base/address.ts";
import type { InterfaceConfig } from "../os/interface-config.ts";
import { InstalledTable } from "../os/nftables.ts";
import type { TableLayout } from "../os/nftables-message.ts";
import { Action, MarkTransfer, Match, Protocol } from "../os/nftables-rule.ts";
import { mainTable } from "../os/routes.ts";
import type { Rule } from "../os/rules.ts";
import { SystemError } from "../os/system-error.ts";
import { claimParameter, type MarkRule } from "./deed.ts";
import type { Journal } from "./journal.ts";

/** Where wg-quick begins to look for a free table, which is WireGuard's usual port. */
const firstMark = 51_820;
const everything = { 4: Cidr.parse("0.0.0.0/0"), 6: Cidr.parse("::/0") } as const;

/** A mark, and routing table, that neither the machine nor another tunnel uses; noted in the journal as this tunnel's. */
export function takeMark(journal: Journal, config: InterfaceConfig): number {
  const routes = config.routes.list().map((route) => route.table);
  const rules = ([4, 6] as const).flatMap((family) => rulesOf(config, family)).map((rule) => rule.table);
  return journal.reserveMark(firstMark, new Set([...routes, ...rules]));
}

export interface DefaultRoute {
  readonly index: number;
  readonly name: string;
  readonly mark: number;
  readonly addresses: readonly Cidr[];
  /** Whether the tunnel has TCP connections of its own, too. */
  readonly hasStreams: boolean;
}

/** Leads a family's packets into the tunnel. The route goes with the interface, the rules are in the journal. */
export function addDefaultRoute(
  journal: Journal,
  config: InterfaceConfig,
  family: AddressFamily,
  to: DefaultRoute,
): void {
  const { index, mark } = to;
  config.routes.add({ destination: everything[family], device: index, table: mark });
  addRule(journal, config, { family, table: mark, mark, invert: true });
  addRule(journal, config, { family, table: mainTable, suppressPrefixLength: 0 });
  if (family === 6) return;
  const parameter = "net/ipv4/conf/all/src_valid_mark";
  journal.record({ kind: "parameter", parameter, value: "1" }, (context) => claimParameter(context, parameter, "1"));
}

/** Whether a deed is of `addDefaultRoute`, or of `guardAddresses`. */
export function isOfDefaultRoute(deed: { readonly kind: string }, name: string): boolean {
  if (deed.kind === "rule") return true;
  if ("parameter" in deed) return deed.parameter === "net/ipv4/conf/all/src_valid_mark";
  return "name" in deed && deed.name === guardName(name);
}

/** The rules around default routes; `undefined` where the kernel lacks a part of nf_tables that they need. */
export function guardAddresses(
  journal: Journal,
  families: readonly AddressFamily[],
  to: DefaultRoute,
): InstalledTable | undefined {
  const layout = guardTable(families, to);
  try {
    return journal.record({ kind: "table", name: layout.name }, () => InstalledTable.install(layout));
  } catch (error) {
    // Without them the tunnel carries everything all the same; only what they guard against is left to the machine.
    if (error instanceof SystemError && error.code !== "not-permitted" && error.code !== "name-taken") return undefined;
    throw error;
  }
}

export function guardTable(families: readonly AddressFamily[], to: DefaultRoute): TableLayout {
  const { name, mark, addresses, hasStreams } = to;
  // TCP is left alone where it can be: the packets of others, too, lose a mark that they had been given by now.
  const protocols = hasStreams ? [Protocol.udp, Protocol.tcp] : [Protocol.udp];
  const carriers = families.flatMap((family) =>
    protocols.map((protocol) => [...Match.family(family), ...Match.protocol(protocol)]),
  );
  const own = addresses.filter((address) => families.includes(address.family));
  const chain = { kind: "filter", hook: "prerouting" } as const;
  return {
    name: guardName(name),
    chains: [
      {
        ...chain,
        name: "preraw",
        priority: -300,
        rules: own.map(({ address }) => [
          ...Match.otherInputInterface(name),
          ...Match.destination(new Cidr(address, address.bits)),
          ...Match.foreignSource(),
          Action.drop,
        ]),
      },
      {
        ...chain,
        name: "premangle",
        priority: -150,
        rules: carriers.map((match) => [...match, ...MarkTransfer.toPacket]),
      },
      {
        ...chain,
        name: "postmangle",
        hook: "postrouting",
        priority: -150,
        rules: carriers.map((match) => [...match, ...Match.mark(mark), ...MarkTransfer.toConnection]),
      },
    ],
  };
}

function guardName(name: string): string {
  return `warren-guard-${name}`;
}

/** The priority is the one that the kernel would choose (net/core/fib_rules.c), chosen here so that it can be noted. */
function addRule(journal: Journal, config: InterfaceConfig, rule: Omit<MarkRule, "priority">): void {
  const priorities = config.rules.list(rule.family).map((other) => other.priority ?? 0);
  const second = priorities.toSorted((a, b) => a - b)[1] ?? 0;
  const chosen: MarkRule = { ...rule, priority: Math.max(0, second - 1) };
  journal.record({ kind: "rule", rule: chosen }, () => config.rules.add(chosen));
}

function rulesOf(config: InterfaceConfig, family: AddressFamily): Rule[] {
  try {
    return config.rules.list(family);
  } catch (error) {
    if (error instanceof SystemError) return []; // a kernel without policy routing, or without IPv6
    throw error;
  }
}
