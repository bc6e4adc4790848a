/**
 * One end of the tunnel under measurement, as a process of its own: `Tunnel` and nothing else. The first line of
 * standard input says what to open, each further one asks for the status, and its end is the tunnel's end. One line of
 * JSON answers each.
 */
import { createInterface } from "node:readline";
import { Cidr, Endpoint } from "../src/base/address.ts";
import { PrivateKey, PublicKey } from "../src/base/keys.ts";
import { hostSetup } from "../src/tunnel/host-setup.ts";
import { Tunnel, type TunnelOptions } from "../src/tunnel/tunnel.ts";

/** The first line. Keys are base64; `privateKey` is for this one run. */
export interface TunnelProgramOptions {
  readonly name: string;
  readonly privateKey: string;
  readonly port: number;
  readonly mtu: number;
  readonly addresses: readonly string[];
  readonly peer: { readonly publicKey: string; readonly endpoint: string; readonly allowedIps: readonly string[] };
}

let tunnel: Tunnel | undefined;
const lines = createInterface({ input: process.stdin });
process.once("SIGTERM", () => lines.close());
for await (const line of lines) {
  tunnel ??= await Tunnel.open(tunnelOptions(JSON.parse(line) as TunnelProgramOptions));
  console.log(JSON.stringify(tunnel.status()));
}
await tunnel?.close();

function tunnelOptions(options: TunnelProgramOptions): TunnelOptions {
  const { name, privateKey, port, mtu, addresses, peer } = options;
  return {
    name,
    privateKey: PrivateKey.parse(privateKey),
    listenPort: port,
    setUp: hostSetup({ mtu, addresses: addresses.map((address) => Cidr.parse(address)) }),
    maximumPeers: 16,
    peers: [
      {
        publicKey: PublicKey.parse(peer.publicKey),
        endpoint: Endpoint.parse(peer.endpoint),
        allowedIps: peer.allowedIps.map((allowed) => Cidr.parse(allowed)),
      },
    ],
  };
}
