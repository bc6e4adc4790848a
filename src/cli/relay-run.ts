/** What `warren relay` does when it runs: reads its arguments, opens one side, and says what happens in a line each. */
import { Endpoint } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { defaultLimits, type LinkLimits } from "../transport/datagram-link.ts";
import { defaultGuestLimits } from "../transport/guest-list.ts";
import { RelayClient, type RelayClientEvent } from "../transport/relay-client.ts";
import { relayPorts } from "../transport/relay-port.ts";
import { RelayServer, type RelayServerEvent } from "../transport/relay-server.ts";
import { dial } from "../transport/stream-dialer.ts";
import { readIdentity, readSmallFile, type TlsIdentity } from "../transport/tls-identity.ts";
import { TransportUrl } from "../transport/transport-url.ts";
import { WebSite } from "../transport/web-site.ts";
import { lookUpEndpoint } from "../tunnel/endpoint-lookup.ts";

export interface RelayOptions {
  readonly cert?: string;
  readonly key?: string;
  readonly webPage?: string;
  readonly ca?: string;
  readonly serverName?: string;
  readonly insecureAcceptAnyCertificate?: boolean;
  readonly pathFile?: string;
  readonly mark?: string;
  readonly maxConnections?: string;
  readonly maxPerSource?: string;
  readonly maxApps?: string;
  readonly idle?: string;
  readonly json?: boolean;
}

const largestMark = 0xffff_ffff;

/** Until a signal ends it. Throws `invalid-argument` for wrong usage. */
export async function runRelay(listen: readonly string[], endpoint: string, options: RelayOptions): Promise<void> {
  const target = TransportUrl.parse(endpoint);
  const locals = listen.map((text) => TransportUrl.parse(text));
  const limits = {
    ...defaultLimits,
    ...(options.idle === undefined ? {} : { idleMs: 1000 * number("idle", options) }),
  };
  if (target.scheme === "udp") return await serve(locals, target, limits, options);
  if (target.scheme === "any") throw usage(`${target} names no transport`, "use tcp, tls, ws or wss");
  if (locals.length > 1 || locals[0].scheme !== "udp") {
    throw usage(
      "one end of a relay is UDP and the other is not",
      "listen on one udp://, or name udp:// as the endpoint",
    );
  }
  return await connect(locals[0], target, limits, options);
}

async function connect(
  local: TransportUrl,
  url: TransportUrl,
  limits: LinkLimits,
  options: RelayOptions,
): Promise<void> {
  refuse(options, ["cert", "key", "webPage", "maxConnections", "maxPerSource"], "the client's side");
  const { ca, serverName, insecureAcceptAnyCertificate: acceptAnyCertificate = false } = options;
  if (acceptAnyCertificate) {
    console.error(
      "warren: warning: any certificate will do: whoever is on the way can pose as the server's relay, but not as WireGuard inside",
    );
  }
  const authority = ca === undefined ? undefined : readSmallFile(ca);
  const dialling = {
    url: withPath(url, options),
    mark: markOf(options),
    limits,
    ca: authority,
    serverName,
    acceptAnyCertificate,
  };
  const { promise: ended } = signalled(["SIGINT", "SIGTERM", "SIGHUP"]);
  const say = speaker(options);
  using relay = await RelayClient.open({
    listen: addressOf(local),
    mark: dialling.mark,
    ...(options.maxApps === undefined ? {} : { maximumFlows: number("maxApps", options) }),
    dial: (signal) => dial(dialling, signal),
    onEvent: (event) => say(event, describeClient(event)),
  });
  say(
    { kind: "ready", listen: [`udp://${relay.local}`], endpoint: url },
    `UDP ${relay.local} leads to ${url}. Ctrl-C ends it.`,
  );
  await ended;
  relay[Symbol.dispose]();
  say({ kind: "stopped", ...relay.tally }, summary({ ...relay.tally.dropped }));
}

async function serve(
  locals: readonly TransportUrl[],
  url: TransportUrl,
  limits: LinkLimits,
  options: RelayOptions,
): Promise<void> {
  refuse(options, ["ca", "serverName", "insecureAcceptAnyCertificate", "maxApps"], "the server's side");
  const ports = locals.flatMap((local) => relayPorts(withPath(local, options)));
  const needsIdentity = locals.find(({ isSecure }) => isSecure);
  if (needsIdentity !== undefined && (options.cert === undefined || options.key === undefined)) {
    throw usage(`${needsIdentity} speaks TLS`, "name a certificate and its key with --cert and --key");
  }
  const identity = identityOf(options);
  const site = options.webPage === undefined ? WebSite.plain() : WebSite.read(options.webPage);
  const target = await lookUpEndpoint({ host: url.host, port: url.port });
  const signals = signalled(["SIGINT", "SIGTERM"]);
  const say = speaker(options);
  using relay = await RelayServer.open({
    ...{ ports, target: () => target, identity, site, limits, mark: markOf(options) },
    guestLimits: {
      ...defaultGuestLimits,
      ...(options.maxConnections === undefined ? {} : { guests: number("maxConnections", options) }),
      ...(options.maxPerSource === undefined ? {} : { guestsPerSource: number("maxPerSource", options) }),
    },
    onEvent: (event) => say(event, describeServer(event)),
  });
  process.on("SIGHUP", () => renew(relay, options));
  const where = relay.locals.map(String);
  const what = [...new Set(ports.flatMap(({ accepts }) => [...accepts]))].join(", ");
  say(
    { kind: "ready", listen: where, endpoint: url },
    `TCP ${where.join(" and ")} (${what}) leads to ${url}. Ctrl-C ends it.`,
  );
  await signals.promise;
  relay[Symbol.dispose]();
  const { tally, guests } = relay;
  say({ kind: "stopped", ...tally, guests: guests.faults }, summary({ ...tally.dropped, ...guests.faults }));
}

function addressOf(url: TransportUrl): Endpoint {
  const { address, port } = url;
  if (address === undefined) throw usage(`${url} names no address of this machine`, "write one, such as 127.0.0.1");
  return new Endpoint(address, port);
}

function withPath(url: TransportUrl, { pathFile }: RelayOptions): TransportUrl {
  if (pathFile === undefined || !["ws", "wss", "any"].includes(url.scheme)) return url;
  const path = readSmallFile(pathFile).toString("utf8").trim();
  if (!path.startsWith("/")) throw usage(`what ${pathFile} says is no path`, "it begins with a slash");
  return TransportUrl.parse(`${url}${path}`);
}

function identityOf({ cert, key }: RelayOptions): TlsIdentity | undefined {
  return cert === undefined || key === undefined ? undefined : readIdentity(cert, key);
}

function renew(relay: RelayServer, options: RelayOptions): void {
  try {
    const identity = identityOf(options);
    if (identity !== undefined) relay.renew(identity);
  } catch (error) {
    console.error(`warren: the certificate stays as it was: ${error instanceof VpnError ? error.line : String(error)}`);
  }
}

function markOf(options: RelayOptions): number {
  return options.mark === undefined ? 0 : number("mark", options, largestMark);
}

function number(
  name: "mark" | "maxConnections" | "maxPerSource" | "maxApps" | "idle",
  options: RelayOptions,
  most = 1e6,
): number {
  const text = options[name] ?? "";
  const value = /^(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= most) return value;
  throw usage(`${JSON.stringify(text)} is not a number from 1 to ${most}`, "see warren relay --help");
}

function refuse(options: RelayOptions, names: readonly (keyof RelayOptions)[], side: string): void {
  const wrong = names.find((name) => options[name] !== undefined);
  if (wrong === undefined) return;
  const flag = wrong.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw usage(`--${flag} means nothing on ${side}`, "leave it out");
}

function usage(message: string, remedy: string): VpnError {
  return new VpnError("invalid-argument", message, { remedy });
}

/** Prints what happens: an object, or a line where there is one. */
function speaker({ json }: RelayOptions): <T extends { readonly kind: string }>(event: T, line: string) => void {
  return ({ kind, ...rest }, line) => {
    if (json === true) console.log(JSON.stringify({ event: kind, ...rest }));
    else if (line !== "") console.log(line);
  };
}

function describeClient(event: RelayClientEvent): string {
  switch (event.kind) {
    case "connected":
      return `${event.app}: connected to ${event.remote}`;
    case "closed":
      return `${event.app}: the connection to ${event.remote} has ended (${event.reason})`;
    case "retrying":
      return `${event.app}: ${event.cause}; trying again in ${(event.inMs / 1000).toFixed(1)} s`;
  }
}

function describeServer(event: RelayServerEvent): string {
  switch (event.kind) {
    case "connected":
      return `${event.remote}: connected by ${event.by}`;
    case "closed":
      return `${event.remote}: the connection has ended (${event.reason})`;
    case "refused":
      return `${event.remote}: refused: ${event.cause}`;
  }
}

/** What was dropped and turned away, or nothing. */
function summary(counts: Readonly<Record<string, number>>): string {
  const some = Object.entries(counts).filter(([, count]) => count > 0);
  return some.length === 0
    ? ""
    : `dropped or turned away: ${some.map(([what, count]) => `${what} ${count}`).join(", ")}`;
}

/** Resolves on the first of these. A second one is left to its default: an end without cleaning up. */
function signalled(signals: readonly NodeJS.Signals[]): { readonly promise: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of signals) process.once(signal, () => resolve());
  return { promise };
}
