/**
 * Which name servers know the way to an endpoint: those of the network outside, not those that the tunnel brings. What
 * they are has to be read before the tunnel puts its own in their place, and again where they are still to be seen then,
 * since a laptop goes from one network to the next.
 */
import { readFileSync } from "node:fs";
import { Endpoint, IpAddress } from "../base/address.ts";
import { InterfaceConfig } from "../os/interface-config.ts";

const dnsPort = 53;
const defaultFiles = { resolvConf: "/etc/resolv.conf", upstream: "/run/systemd/resolve/resolv.conf" } as const;

export interface ResolverFiles {
  readonly resolvConf: string;
  /** Where systemd-resolved, if that is what resolv.conf names, says whom it asks in turn. */
  readonly upstream: string;
}

/**
 * To be called before the tunnel's own name servers are set. What it returns tells, whenever asked, the name servers
 * outside, those of the moment first; `inside` are the tunnel's own.
 */
export function outsideResolvers(
  inside: readonly IpAddress[],
  files: ResolverFiles = defaultFiles,
): () => readonly Endpoint[] {
  const former = systemResolvers(files);
  return () => {
    const present = systemResolvers(files).filter(({ address }) => !inside.some((own) => own.equals(address)));
    return [...present, ...former.filter((server) => !present.some((other) => other.equals(server)))];
  };
}

/** The name servers that resolv.conf(5) names. One with a scope (`fe80::1%eth0`) counts where the interface is there. */
export function readResolvers(text: string): Endpoint[] {
  return text.split("\n").flatMap((line) => {
    const [, address, interfaceName] = /^\s*nameserver\s+([0-9a-fA-F.:]+)(?:%(\S+))?/.exec(line) ?? [];
    if (address === undefined) return [];
    try {
      return new Endpoint(IpAddress.parse(address), dnsPort, scopeOf(interfaceName));
    } catch {
      return []; // what the C library does not understand, it passes over
    }
  });
}

/** systemd-resolved on loopback would take the question into the tunnel as it does all others: so those behind it count. */
function systemResolvers({ resolvConf, upstream }: ResolverFiles): Endpoint[] {
  const named = readResolvers(readText(resolvConf));
  const isStub = named.length > 0 && named.every(({ address }) => /^127\.0\.0\.5[34]$/.test(String(address)));
  const behind = isStub ? readResolvers(readText(upstream)) : [];
  return behind.length > 0 ? behind : named;
}

function scopeOf(interfaceName: string | undefined): number {
  if (interfaceName === undefined) return 0;
  using config = InterfaceConfig.open();
  return config.links.find(interfaceName)?.index ?? 0;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
