/**
 * Asks name servers for a name: `dns-question NAME SERVER...`, of an IPv4 server its A, of an IPv6 server its AAAA
 * record, all at once, by Node's own resolver. It knows of no tunnel.
 */
import { Resolver } from "node:dns/promises";

const [name, ...servers] = process.argv.slice(2);

async function ask(server: string): Promise<void> {
  const ipv6 = server.includes(":");
  const resolver = new Resolver({ timeout: 1500, tries: 1 });
  resolver.setServers([ipv6 ? `[${server}]:53` : `${server}:53`]);
  const start = performance.now();
  try {
    const addresses = ipv6 ? await resolver.resolve6(name) : await resolver.resolve4(name);
    const milliseconds = performance.now() - start;
    console.log(JSON.stringify({ event: "answer", server, type: ipv6 ? "AAAA" : "A", addresses, milliseconds }));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : String(error);
    console.log(JSON.stringify({ event: "answer", server, type: ipv6 ? "AAAA" : "A", addresses: [], error: code }));
  }
}

await Promise.all(servers.map(ask));
