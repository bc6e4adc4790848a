/** `warren classic` between the two hosts, by the command itself: the client at a, the server at b. */
import { join } from "node:path";
import type { Contestant } from "../contestant.ts";
import { Program } from "../program.ts";
import type { Host } from "../two-hosts.ts";
import { checkoutVersion, compileCache, ownCheckout } from "./warren.ts";

const command = join(ownCheckout, "bin/warren");

export function classic(): Contestant {
  return { name: "classic", version: checkoutVersion(ownCheckout), open };
}

const open: Contestant["open"] = async ({ a, b }, resources, signal) => {
  const start = async (host: Host, ready: RegExp, ...parameters: string[]): Promise<Program> => {
    const addresses = [host.v4, host.v6].flatMap((address) => ["--address", address.toString()]);
    const whole = [command, "classic", ...parameters, "--tun", "bench", ...addresses];
    const program = resources.use(new Program(host.namespace, whole, signal, compileCache(ownCheckout)));
    while (!ready.test(await program.line()));
    return program;
  };
  const listen = b.endpoint.toString();
  const begun = performance.now();
  const server = await start(b, /is up/, "server", "--listen", listen, "--i-know-this-is-not-encryption");
  const between = performance.now();
  const client = await start(a, /: connected$/, "client", listen);
  return { a: client, b: server, readyMs: [performance.now() - between, between - begun] };
};
