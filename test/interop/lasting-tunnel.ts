/**
 * A tunnel that is kept in touch with its peer, in a process of its own: `lasting-tunnel SETTINGS`, as JSON. It prints
 * `ready` and then, a line each, what is done to keep it. A line `suspend MILLISECONDS` on its standard input lets the
 * clock that goes on in a suspend leap.
 */
import { createInterface } from "node:readline";
import { Cidr, Endpoint } from "../../src/base/address.ts";
import { PrivateKey, PublicKey } from "../../src/base/keys.ts";
import { bootTime } from "../../src/os/clock.ts";
import { hostSetup } from "../../src/tunnel/host-setup.ts";
import { KillSwitch } from "../../src/tunnel/kill-switch.ts";
import { persist } from "../../src/tunnel/persistence.ts";
import { Tunnel } from "../../src/tunnel/tunnel.ts";

export interface LastingTunnelSettings {
  readonly privateKey: string;
  readonly address: string;
  readonly mark: number;
  readonly peer: { readonly publicKey: string; readonly endpoint: string; readonly allowedIp: string };
  /** The name of the endpoint's host. */
  readonly host: string;
  readonly resolver: string;
}

if (import.meta.main) await run(JSON.parse(process.argv[2]));

async function run(settings: LastingTunnelSettings): Promise<void> {
  const { mark } = settings;
  const endpoint = Endpoint.parse(settings.peer.endpoint);
  const publicKey = PublicKey.parse(settings.peer.publicKey);
  const peers = [{ publicKey, endpoint, allowedIps: [Cidr.parse(settings.peer.allowedIp)] }];
  const tunnel = await Tunnel.open({
    name: "wg0",
    privateKey: PrivateKey.parse(settings.privateKey),
    mark,
    peers,
    setUp: hostSetup({ addresses: [Cidr.parse(settings.address)], peers, routes: { kind: "auto" }, mark }),
  });
  KillSwitch.install(tunnel.name, { mark });
  let asleepMs = 0;
  persist(tunnel, {
    peers: [{ publicKey, endpointName: { host: settings.host, port: endpoint.port } }],
    resolvers: () => [Endpoint.parse(settings.resolver)],
    hostsFile: "/dev/null",
    clocks: { boot: () => bootTime() + asleepMs, monotonic: () => performance.now() },
    log: (line) => console.log(line),
  });
  createInterface({ input: process.stdin }).on("line", (line) => {
    asleepMs += Number(/^suspend ([0-9]+)$/.exec(line)?.[1]);
  });
  console.log("ready");
}
