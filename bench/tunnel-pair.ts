/** What is compared: a tunnel between the two hosts, made by warren, by another checkout of it, or by wireguard-go. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { VpnError } from "../src/base/errors.ts";
import { PrivateKey, PublicKey } from "../src/base/keys.ts";
import { native } from "../src/crypto/native.ts";
import { InterfaceConfig } from "../src/os/interface-config.ts";
import { setUpInterface } from "../src/tunnel/interface-setup.ts";
import type { TunnelStatus } from "../src/tunnel/tunnel-status.ts";
import { Program } from "./program.ts";
import type { TunnelProgramOptions } from "./tunnel-program.ts";
import type { Host, TwoHosts } from "./two-hosts.ts";

export const mtu = 1420;
/** One end as a process, inside a checkout. */
export const tunnelProgram = "bench/tunnel-program.ts";

/** Both ends' processes, ready to carry packets from host a to host b. */
export interface TunnelPair {
  readonly a: Program;
  readonly b: Program;
  /** From the start of each process to the interface's being up, in milliseconds. */
  readonly readyMs: readonly [a: number, b: number];
}

/** Opens a tunnel; the processes belong to `resources`. */
export type OpenTunnel = (hosts: TwoHosts, resources: AsyncDisposableStack, signal: AbortSignal) => Promise<TunnelPair>;

const ownCheckout = fileURLToPath(new URL("..", import.meta.url));

/** Code compiled in one run of a checkout serves the next, threads included, as it does for `bin/warren`. */
export function compileCache(checkout: string = ownCheckout): Readonly<Record<string, string>> {
  return { NODE_COMPILE_CACHE: join(checkout, "node_modules/.cache/warren") };
}

interface End {
  readonly host: Host;
  readonly peer: Host;
  readonly privateKey: PrivateKey;
  readonly peerKey: PublicKey;
}

type OpenEnd = (end: End, resources: AsyncDisposableStack, signal: AbortSignal) => Promise<Program>;

/** warren from the checkout at `path`: this one, unless another is given. */
export function openWarren(path: string = ownCheckout): OpenTunnel {
  const openEnd: OpenEnd = (end, resources, signal) => openWarrenEnd(path, end, resources, signal);
  return (hosts, resources, signal) => openBoth(openEnd, hosts, resources, signal);
}

/** The same with the wireguard-go at `path`, configured through its control socket in /run/wireguard. */
export function openWireguardGo(path: string): OpenTunnel {
  const openEnd: OpenEnd = (end, resources, signal) => openWireguardGoEnd(path, end, resources, signal);
  return (hosts, resources, signal) => openBoth(openEnd, hosts, resources, signal);
}

/** What warren says of itself. */
export async function statusOf(end: Program): Promise<TunnelStatus> {
  end.write("status");
  return JSON.parse(await end.line()) as TunnelStatus;
}

/** One end after the other, so that neither's start is measured beside the other's. */
async function openBoth(
  openEnd: OpenEnd,
  { a, b }: TwoHosts,
  resources: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<TunnelPair> {
  const [keyA, keyB] = [new PrivateKey(randomBytes(32)), new PrivateKey(randomBytes(32))];
  const publicOf = ({ bytes }: PrivateKey) => new PublicKey(native.publicKey(bytes));
  const begun = performance.now();
  const programB = await openEnd({ host: b, peer: a, privateKey: keyB, peerKey: publicOf(keyA) }, resources, signal);
  const between = performance.now();
  const programA = await openEnd({ host: a, peer: b, privateKey: keyA, peerKey: publicOf(keyB) }, resources, signal);
  return { a: programA, b: programB, readyMs: [performance.now() - between, between - begun] };
}

async function openWarrenEnd(
  checkout: string,
  end: End,
  resources: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Program> {
  const { host, peer, privateKey, peerKey } = end;
  const command = [process.execPath, join(checkout, tunnelProgram)];
  const program = resources.use(new Program(host.namespace, command, signal, compileCache(checkout)));
  const options: TunnelProgramOptions = {
    name: "bench",
    privateKey: privateKey.reveal(),
    port: host.endpoint.port,
    mtu,
    addresses: [host.v4.toString(), host.v6.toString()],
    peer: { publicKey: peerKey.toString(), endpoint: peer.endpoint.toString(), allowedIps: allowedIpsOf(peer) },
  };
  program.write(JSON.stringify(options));
  await program.line();
  return program;
}

async function openWireguardGoEnd(
  path: string,
  end: End,
  resources: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Program> {
  const { host, peer, privateKey, peerKey } = end;
  // The control socket is named after the interface, and both ends share one /run.
  const name = `bench-${host.name}`;
  const socket = `/run/wireguard/${name}.sock`;
  const program = resources.use(new Program(host.namespace, [path, "-f", name], signal));
  await program.until(() => existsSync(socket));
  await configure(socket, [
    "set=1",
    `private_key=${Buffer.from(privateKey.bytes).toString("hex")}`,
    `listen_port=${host.endpoint.port}`,
    `public_key=${peerKey.hex}`,
    `endpoint=${peer.endpoint}`,
    ...allowedIpsOf(peer).map((allowed) => `allowed_ip=${allowed}`),
  ]);
  using config = host.namespace.run(InterfaceConfig.open);
  const index = config.links.find(name)?.index ?? 0;
  host.namespace.run(() => setUpInterface({ index, name, mtu, addresses: [host.v4, host.v6], routes: [] }));
  return program;
}

function allowedIpsOf({ v4, v6 }: Host): string[] {
  return [`${v4.address}/32`, `${v6.address}/128`];
}

/** wg(8)'s protocol: lines, and an empty one that ends them; the answer's `errno=` is 0 for success. */
async function configure(socket: string, lines: readonly string[]): Promise<void> {
  const connection = createConnection(socket);
  connection.end(`${lines.join("\n")}\n\n`);
  let answer = "";
  for await (const data of connection) answer += String(data);
  if (/^errno=0$/m.test(answer)) return;
  throw new VpnError("not-available", `wireguard-go refused its configuration (${answer.trim()})`);
}
