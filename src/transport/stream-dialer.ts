/**
 * Makes links: looks a host up, connects a socket that carries the mark already, and speaks TLS and WebSocket on it as
 * the URL says. Every address of the host is tried in turn.
 */
import { promises as dns } from "node:dns";
import { Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { WebSocket } from "ws";
import { type AddressFamily, IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { createStreamSocket } from "../os/tcp-socket.ts";
import { type DatagramLink, type LinkLimits, largestDatagram } from "./datagram-link.ts";
import { StreamLink } from "./stream-link.ts";
import type { TransportUrl } from "./transport-url.ts";
import { WebSocketLink, webSocketOptions } from "./web-socket-link.ts";

export interface DialerOptions {
  readonly url: TransportUrl;
  readonly mark?: number;
  readonly limits: LinkLimits;
  /** Who vouches for the server, PEM, instead of the machine's own authorities. */
  readonly ca?: string | Buffer | undefined;
  /** The name to ask for and to check, instead of the URL's host. */
  readonly serverName?: string | undefined;
  /** Whether any certificate will do. */
  readonly acceptAnyCertificate?: boolean;
  /** Who knows the addresses of a host; left out, the system. */
  readonly lookUp?: ((host: string) => Promise<readonly IpAddress[]>) | undefined;
}

/** For one address: TCP, TLS and WebSocket together. */
const connectMs = 10_000;

/** A link that is open. Throws `not-available`, in one line, where no address of the host gives one; `signal` gives up. */
export async function dial(options: DialerOptions, signal: AbortSignal): Promise<DatagramLink> {
  let last: unknown;
  for (const address of await lookUp(options)) {
    signal.throwIfAborted();
    try {
      return await dialAddress(options, String(address), address.family, signal);
    } catch (error) {
      signal.throwIfAborted();
      last = error;
    }
  }
  throw new VpnError("not-available", `no connection to ${options.url}: ${explain(last)}`, { cause: last });
}

async function lookUp({ url, lookUp: ask = askSystem }: DialerOptions): Promise<readonly IpAddress[]> {
  const { host, address } = url;
  if (address !== undefined) return [address];
  let cause: unknown;
  const found = await ask(host).catch((error: unknown) => {
    cause = error;
    return [];
  });
  if (found.length > 0) return found;
  throw new VpnError("not-available", `the host ${JSON.stringify(host)} was not found`, {
    remedy: "check the name and this machine's DNS, or write an address",
    cause,
  });
}

async function askSystem(host: string): Promise<IpAddress[]> {
  const found = await dns.lookup(host, { all: true });
  return found.map(({ address }) => IpAddress.parse(address.replace(/%.*/, "")));
}

async function dialAddress(
  options: DialerOptions,
  address: string,
  family: AddressFamily,
  signal: AbortSignal,
): Promise<DatagramLink> {
  const { url, limits, mark = 0 } = options;
  // `manualStart`: nothing is read before it is connected.
  const socket = new Socket({ fd: createStreamSocket(family, mark), manualStart: true } as { fd: number });
  const { promise, resolve, reject } = Promise.withResolvers<DatagramLink>();
  const giveUp = (): void => reject(signal.reason);
  const timer = setTimeout(() => reject(new Error(`nothing for ${connectMs / 1000} s`)), connectMs);
  signal.addEventListener("abort", giveUp);
  socket.on("error", reject);
  socket.connect({ host: address, port: url.port });
  const remote = address.includes(":") ? `[${address}]:${url.port}` : `${address}:${url.port}`;
  const isSecure = url.scheme === "tls" || url.scheme === "wss";
  const stream = isSecure ? connectTls({ ...tlsOptions(options), socket }) : socket;
  stream.on("error", reject);
  stream.on("close", () => reject(new Error("it was closed at once")));
  if (url.scheme === "ws" || url.scheme === "wss") {
    const webSocket = new WebSocket(webAddress(options), {
      ...webSocketOptions,
      maxPayload: largestDatagram,
      createConnection: () => stream,
    });
    webSocket.on("error", reject);
    webSocket.on("open", () => resolve(new WebSocketLink(webSocket, stream, remote, { limits, asks: true })));
  } else {
    stream.once(isSecure ? "secureConnect" : "connect", () => resolve(new StreamLink(stream, remote, limits)));
  }
  try {
    return await promise;
  } catch (error) {
    stream.destroy();
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", giveUp);
  }
}

function tlsOptions({ url, ca, serverName, acceptAnyCertificate }: DialerOptions): ConnectionOptions {
  const name = serverName ?? url.host;
  const isName = !/^[0-9.]+$|:/.test(name); // RFC 6066 §3: no literal addresses in SNI
  return {
    host: name,
    ...(isName ? { servername: name } : {}),
    ...(ca === undefined ? {} : { ca }),
    rejectUnauthorized: acceptAnyCertificate !== true,
    minVersion: "TLSv1.3",
    ALPNProtocols: ["http/1.1"],
  };
}

/** What goes into the request: the name that the certificate has. */
function webAddress({ url, serverName }: DialerOptions): string {
  const host = serverName ?? url.host;
  return `${url.scheme}://${host.includes(":") ? `[${host}]` : host}:${url.port}${url.path}`;
}

function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return "its certificate is for other names; --server-name says which to check";
  if (code?.includes("CERT") === true || code === "UNABLE_TO_VERIFY_LEAF_SIGNATURE") {
    return `its certificate is not trusted (${code}); --ca names another authority`;
  }
  return message.split("\n", 1)[0];
}
