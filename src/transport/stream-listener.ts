/**
 * One port for everything that arrives in a stream. The first bytes tell what a connection is (`first-bytes.ts`):
 *
 *     connection -> frames                         a link
 *                -> TLS -> frames                  a link
 *                -> (TLS ->) HTTP -> our path      a link over a WebSocket
 *                                 -> all else      an ordinary web page
 *                -> anything else                  what a web server answers to nonsense: 400 Bad Request
 *
 * Nobody learns more than from a web server, unless they speak the frames or know the path.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { WebSocketServer } from "ws";
import { Endpoint, IpAddress } from "../base/address.ts";
import { openTcpListener } from "../os/tcp-socket.ts";
import type { Clock } from "./clock.ts";
import { type DatagramLink, type LinkLimits, largestDatagram } from "./datagram-link.ts";
import { type FirstBytes, firstBytesNeeded, tellFirstBytes } from "./first-bytes.ts";
import type { Guest, GuestList } from "./guest-list.ts";
import { StreamLink } from "./stream-link.ts";
import type { TlsIdentity } from "./tls-identity.ts";
import type { WebSite } from "./web-site.ts";
import { WebSocketLink, webSocketOptions } from "./web-socket-link.ts";

/** How a link came about; what a URL's scheme names. */
export type StreamKind = "tcp" | "tls" | "ws" | "wss";

export interface ListenerOptions {
  /** Port 0 for one of the kernel's choice. */
  readonly local: Endpoint;
  readonly mark?: number;
  readonly accepts: ReadonlySet<StreamKind>;
  /** Where the WebSocket is. */
  readonly path: string;
  /** Without it TLS is not spoken. */
  readonly identity?: TlsIdentity | undefined;
  readonly site: WebSite;
  readonly guests: GuestList;
  readonly limits: LinkLimits;
  readonly clock: Clock;
  readonly onLink: (link: DatagramLink, kind: StreamKind, guest: Guest) => void;
}

const largestHeader = 8192;

export class StreamListener implements Disposable {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #tls: TlsServer | undefined;
  readonly #web = createHttpServer({
    maxHeaderSize: largestHeader,
    shouldUpgradeCallback: (request) => this.#isOurs(request),
  });
  readonly #webSockets = new WebSocketServer({
    ...webSocketOptions,
    noServer: true,
    clientTracking: false,
    maxPayload: largestDatagram,
  });
  readonly #guestOf = new WeakMap<Duplex, Guest>();
  /** Connections in their TLS handshake, by the address and port they come from. */
  readonly #inHandshake = new Map<string, Guest>();
  readonly #pathDigest: Buffer;

  /** Resolves when it listens. Throws `port-taken` and the like. */
  static async open(options: ListenerOptions): Promise<StreamListener> {
    const listener = new StreamListener(options);
    const fd = openTcpListener(options.local, options.mark ?? 0);
    await new Promise<void>((resolve, reject) => {
      listener.#server.once("error", reject);
      listener.#server.listen({ fd }, resolve); // which closes it in the end
    });
    return listener;
  }

  private constructor(options: ListenerOptions) {
    this.#options = options;
    this.#pathDigest = digest(options.path);
    this.#server = createTcpServer({ pauseOnConnect: true }, (socket) => this.#welcome(socket));
    this.#server.on("error", () => {}); // of one accept: who waits, waits on
    this.#tls = options.identity === undefined ? undefined : this.#createTls(options.identity);
    this.#web.on("request", (request, response) => options.site.answer(request, response));
    this.#web.on("upgrade", (request, stream, head) => this.#upgrade(request, stream, head));
  }

  get local(): Endpoint {
    const at = this.#server.address();
    if (at === null || typeof at === "string") return this.#options.local;
    return new Endpoint(IpAddress.parse(at.address), at.port);
  }

  /** A new certificate for whoever comes from now on. Throws where the two do not belong together. */
  renew(identity: TlsIdentity): void {
    this.#tls?.setSecureContext({ ...identity, minVersion: "TLSv1.3" });
  }

  /** Lets nobody in any more. Who is in stays: that is the guest list's business. */
  [Symbol.dispose](): void {
    this.#server.close();
  }

  #createTls(identity: TlsIdentity): TlsServer {
    const { clock, guests } = this.#options;
    const server = createTlsServer({
      ...identity,
      minVersion: "TLSv1.3",
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: guests.limits.decideMs,
    });
    server.on("tlsClientError", ({ code }: NodeJS.ErrnoException) => {
      if (code !== "ECONNRESET") guests.faults["tls-failed"]++; // else it ended, by either end, before TLS was done
    });
    server.on("secureConnection", (socket: TLSSocket) => {
      const guest = this.#inHandshake.get(sourceOf(socket));
      if (guest === undefined) {
        socket.destroy(); // it has gone already
        return;
      }
      socket.on("error", () => {}); // the guest leaves when the connection below closes
      tell(socket, (first) => this.#receive(socket, first, guest, clock.now(), true));
    });
    return server;
  }

  #welcome(socket: Socket): void {
    const { clock, guests } = this.#options;
    socket.on("error", () => {}); // told again by its end
    const guest = guests.admit(clock.now(), socket.remoteAddress ?? "0.0.0.0", () => socket.destroy());
    if (guest === undefined) {
      socket.destroy();
      return;
    }
    socket.on("close", () => guest.leave());
    tell(socket, (first) => this.#receive(socket, first, guest, clock.now(), false));
  }

  #receive(stream: Socket, first: FirstBytes, guest: Guest, now: number, isSecure: boolean): void {
    const { accepts } = this.#options;
    if (first === "tls" && !isSecure && this.#tls !== undefined) {
      const source = sourceOf(stream);
      this.#inHandshake.set(source, guest);
      stream.once("close", () => this.#inHandshake.delete(source));
      this.#tls.emit("connection", stream);
      return;
    }
    const kind = isSecure ? "tls" : "tcp";
    if (first === "frames" && accepts.has(kind)) {
      this.#present(new StreamLink(stream, nameOf(stream), this.#options.limits), kind, guest, now);
      return;
    }
    if (first === "unknown") this.#options.guests.faults["unknown-protocol"]++;
    if (first === "frames" || first === "tls") this.#options.guests.faults["unwanted-protocol"]++;
    guest.visit(now);
    this.#guestOf.set(stream, guest);
    this.#web.emit("connection", stream);
    stream.resume();
  }

  #isOurs({ url, method, headers, socket }: IncomingMessage): boolean {
    const kind = "encrypted" in socket ? "wss" : "ws";
    const isUpgrade = method === "GET" && headers.upgrade?.toLowerCase() === "websocket";
    return isUpgrade && this.#options.accepts.has(kind) && timingSafeEqual(digest(url ?? ""), this.#pathDigest);
  }

  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const guest = this.#guestOf.get(stream);
    if (guest === undefined) {
      stream.destroy();
      return;
    }
    this.#webSockets.handleUpgrade(request, stream, head, (socket) => {
      const { limits, clock } = this.#options;
      const link = new WebSocketLink(socket, stream, nameOf(request.socket), { limits });
      this.#present(link, "encrypted" in request.socket ? "wss" : "ws", guest, clock.now());
    });
  }

  #present(link: DatagramLink, kind: StreamKind, guest: Guest, now: number): void {
    guest.bring(now, link);
    this.#options.onLink(link, kind, guest);
  }
}

/** Reads as many bytes as it takes to tell what they are, puts them back, and leaves the stream paused. */
function tell(stream: Socket, decide: (first: FirstBytes) => void): void {
  const chunks: Buffer[] = [];
  const take = (chunk: Buffer): void => {
    chunks.push(chunk);
    const head = chunks.length === 1 ? chunk : Buffer.concat(chunks);
    if (head.length < firstBytesNeeded) return;
    stream.off("data", take);
    stream.off("end", leave);
    stream.pause();
    stream.unshift(head);
    decide(tellFirstBytes(head));
  };
  const leave = (): void => {
    stream.destroy();
  };
  stream.on("data", take);
  stream.on("end", leave);
  stream.resume();
}

function sourceOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function nameOf(socket: Socket): string {
  const { remoteAddress = "?", remotePort = 0 } = socket;
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}

/** Of equal length whatever the path, for a comparison that takes as long wherever they differ. */
function digest(path: string): Buffer {
  return createHash("sha256").update(path).digest();
}
