/** Has the machine look up names inside the tunnel: by resolvconf, by systemd-resolved, or in /etc/resolv.conf itself. */
import { readFileSync } from "node:fs";
import { claimFile, type Deed } from "./deed.ts";
import type { Journal } from "./journal.ts";
import {
  findResolverProgram,
  handToResolvconf,
  handToResolved,
  type ResolverSetting,
  resolverFile,
} from "./resolver-program.ts";

const resolverPath = "/etc/resolv.conf";
const interfaceOrder = "/etc/resolvconf/interface-order";

/** Search domains alone change nothing, as with wg-quick. Throws a `VpnError` that says what refused. */
export function setResolvers(journal: Journal, link: string, setting: ResolverSetting): void {
  if (setting.resolvers.length === 0) return;
  const found = findResolverProgram();
  switch (found.kind) {
    case "resolvconf": {
      const record = recordPrefix() + link;
      const { program } = found;
      journal.record({ kind: "resolvconf", program, record }, () => handToResolvconf(program, record, setting));
      break;
    }
    case "resolved": {
      const { program } = found;
      journal.record({ kind: "resolved", program, link }, () => handToResolved(program, link, setting));
      break;
    }
    case "none": {
      const content = `# while the tunnel ${link} is up; then the former file returns\n${resolverFile(setting)}`;
      journal.record({ kind: "file", path: resolverPath }, (context) => claimFile(context, resolverPath, content));
      break;
    }
  }
}

/** Whether a deed is of `setResolvers`. */
export function isOfResolvers({ kind }: Deed): boolean {
  return kind === "resolvconf" || kind === "resolved" || kind === "file";
}

/**
 * Debian's resolvconf takes resolvers in the order of its interfaces' patterns, and a tunnel's are to be the first: the
 * first pattern that is a mere prefix, `tun*` there, names the record.
 */
function recordPrefix(): string {
  try {
    const pattern = /^([A-Za-z0-9-]+)\*$/m.exec(readFileSync(interfaceOrder, "utf8"))?.[1];
    return pattern === undefined ? "" : `${pattern}.`;
  } catch {
    return ""; // another resolvconf
  }
}
