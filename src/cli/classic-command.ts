/**
 * `warren classic`: the seed's VPN, for learning how one works. It protects nothing, and says so at every start.
 */
import { lookup } from "node:dns/promises";
import { type Command, Option } from "commander";
import { Cidr, Endpoint, IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import type { ClassicEvent } from "../dataplane/classic-path.ts";
import type { ClassicOptions, ClassicTunnel } from "../tunnel/classic-tunnel.ts";

const defaultPort = 5555;
/** A host's name, and a port where it has one. */
const namePattern = /^([a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?)(?::([0-9]{1,5}))?$/i;
const standardOutput = 1;
const warning = "warren classic: XOR with 0x42 hides nothing: whoever is on the way can read and change every packet";

interface CommonOptions {
  readonly tun: string;
  readonly address?: readonly string[];
  readonly verbose?: boolean;
}

interface ServerOptions extends CommonOptions {
  readonly listen: string;
  readonly nat?: boolean;
  readonly iKnowThisIsNotEncryption?: boolean;
}

interface ClientOptions extends CommonOptions {
  readonly route?: readonly string[];
}

const ends: Readonly<Record<Extract<ClassicEvent, { kind: "closed" }>["reason"], string>> = {
  "hung-up": "it hung up",
  "half-a-packet": "it hung up in the middle of a packet",
  "connection-lost": "the connection was lost",
  "not-ip": "it sent what is not an IP packet",
  "length-lies": "it sent a packet whose length cannot be true",
};

/** Declares the command; what it needs is loaded when it runs. */
export function classicCommand(program: Command): void {
  const classic = program.command("classic").description("the teaching VPN: XOR over TCP, which protects nothing");
  const common = (command: Command): Command =>
    command
      .addOption(new Option("--tun <name>", "the interface's name").default("tun%d", "the first tunN that is free"))
      .option("--address <cidr>", "an address of the interface, such as 10.8.0.1/24 (repeatable)", collect)
      .option("--verbose", "print a line for each packet, as it is read and received");
  common(classic.command("server"))
    .description("wait for clients until Ctrl-C")
    .requiredOption("--listen <endpoint>", "the address, and the port if not 5555, to listen on")
    .option("--nat", "forward what clients send, hidden behind this machine's addresses")
    .option("--i-know-this-is-not-encryption", "listen on a public address, too")
    .action((_options: unknown, command: Command) => serve(command.optsWithGlobals<ServerOptions>()));
  common(classic.command("client"))
    .description("connect to a server, again and again, until Ctrl-C")
    .argument("<server>", "the server's address or name, and the port if not 5555")
    .option("--route <cidr>", "what to reach through the server, such as 8.8.8.8/32 or 0.0.0.0/0 (repeatable)", collect)
    .action((server: string, _options: unknown, command: Command) =>
      connect(server, command.optsWithGlobals<ClientOptions>()),
    );
}

async function serve(options: ServerOptions): Promise<void> {
  const { ClassicTunnel } = await import("../tunnel/classic-tunnel.ts");
  const listen = parseEndpoint(options.listen);
  if (listen === undefined) throw notAnEndpoint(options.listen, "an address");
  const { nat = false, iKnowThisIsNotEncryption: allowPublic = false } = options;
  await run(
    () => ClassicTunnel.serve({ ...commonOptions(options), listen, nat, allowPublic }),
    `listening on TCP ${listen}`,
  );
}

async function connect(text: string, options: ClientOptions): Promise<void> {
  const { ClassicTunnel } = await import("../tunnel/classic-tunnel.ts");
  const server = parseEndpoint(text) ?? (await lookUp(text));
  const routes = (options.route ?? []).map((route) => Cidr.parse(route));
  await run(() => ClassicTunnel.connect({ ...commonOptions(options), server, routes }), `connecting to TCP ${server}`);
}

async function run(open: () => Promise<ClassicTunnel>, what: string): Promise<void> {
  console.error(warning);
  const signal = signalled(); // from here on: an end asked for while the tunnel comes up is an orderly one, too
  await using tunnel = await open();
  console.log(`${tunnel.name} is up, ${what}. Ctrl-C ends it.`);
  const failure = await Promise.race([tunnel.failure, signal]);
  if (failure !== undefined) throw failure;
}

function commonOptions({ tun, address = [], verbose }: CommonOptions): ClassicOptions {
  return {
    name: tun,
    addresses: address.map((text) => Cidr.parse(text)),
    onEvent: (event) => console.log(describe(event)),
    traceTo: verbose === true ? standardOutput : undefined,
  };
}

function describe(event: ClassicEvent): string {
  switch (event.kind) {
    case "connected":
      return `${event.remote}: connected`;
    case "learnt":
      return `${event.remote}: has the tunnel address ${event.address}`;
    case "closed":
      return `${event.remote}: closed, ${ends[event.reason]}${event.dropped > 0 ? `; ${event.dropped} packets found its queue full` : ""}`;
    case "refused":
      return `${event.remote}: refused, it claims the tunnel address ${event.address}, which ${event.owner} has`;
    case "crowded":
      return `${event.remote}: refused, there are too many clients already`;
    case "paused":
      return `nobody new is let in for now: ${event.cause}; trying again every second`;
    case "resumed":
      return `letting clients in again, after ${event.attempts} failed ${event.attempts === 1 ? "attempt" : "attempts"}`;
    case "retrying":
      return `${event.remote}: ${event.cause}; trying again in ${(event.inMs / 1000).toFixed(1)} s`;
  }
}

/** An address, perhaps with a port; undefined for what is neither. Throws for what looks like one and is none. */
function parseEndpoint(text: string): Endpoint | undefined {
  const bare = /^\[([^\]]+)\]$/.exec(text)?.[1] ?? text;
  const isAddress = /^[0-9.]+$/.test(bare) || (bare.includes(":") && !/^\[|^[^:]*:[^:]*$/.test(bare));
  if (isAddress) return new Endpoint(IpAddress.parse(bare), defaultPort);
  return /^([0-9.]+|\[[^\]]+\]):[0-9]{1,5}$/.test(text) ? Endpoint.parse(text) : undefined;
}

/** Asks for a name once, at the start. */
async function lookUp(text: string): Promise<Endpoint> {
  const match = namePattern.exec(text);
  if (match === null) throw notAnEndpoint(text, "an address or a name");
  const [, host, port = String(defaultPort)] = match;
  try {
    return new Endpoint(IpAddress.parse((await lookup(host)).address), Number(port));
  } catch (error) {
    if (error instanceof VpnError) throw error;
    throw new VpnError("not-available", `the host ${JSON.stringify(host)} was not found`, {
      remedy: "check the name and this machine's DNS, or write an address",
      cause: error,
    });
  }
}

function notAnEndpoint(text: string, what: string): VpnError {
  return new VpnError("invalid-argument", `${JSON.stringify(text)} is not ${what}`, {
    remedy: `write it like 192.0.2.1 or, with a port that is not ${defaultPort}, 192.0.2.1:${defaultPort + 1}`,
  });
}

function collect(value: string, former: readonly string[] = []): string[] {
  return [...former, value];
}

/** Resolves on the first signal that asks for an end. A second one is left to its default: an end without cleaning up. */
function signalled(): Promise<undefined> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve(undefined));
  });
}
