/**
 * The client's loop of `warren classic`: one connection to the server, made again with growing patience whenever it is
 * lost. What the device gives meanwhile is dropped.
 */
import type { Endpoint } from "../base/address.ts";
import { bootTime } from "../os/clock.ts";
import { libc } from "../os/libc.ts";
import { POLLOUT } from "../os/poller.ts";
import { SystemError } from "../os/system-error.ts";
import { connectionError, connectTcp } from "../os/tcp-socket.ts";
import { Backoff } from "../transport/backoff.ts";
import type { ClassicConnection, ClassicEnd } from "../transport/classic.ts";
import type { ClassicPath } from "./classic-path.ts";

const connectTimeoutMs = 10_000;

type Link =
  | { readonly kind: "idle"; readonly until: number }
  | { readonly kind: "connecting"; readonly fd: number; readonly until: number }
  | { readonly kind: "connected"; readonly connection: ClassicConnection };

export class ClassicClient implements Disposable {
  readonly #path: ClassicPath;
  readonly #server: Endpoint;
  readonly #backoff: Backoff = new Backoff();
  #link: Link = { kind: "idle", until: 0 };

  constructor(path: ClassicPath, server: Endpoint) {
    this.#path = path;
    this.#server = server;
  }

  /** Waits once, no longer than until the next attempt, and does all there is to do. */
  turn(): void {
    const path = this.#path;
    path.wait(this.#link.kind === "connected" ? Number.POSITIVE_INFINITY : this.#link.until);
    if (this.#link.kind === "connected") this.#serve(this.#link.connection);
    else if (this.#link.kind === "connecting") this.#complete(this.#link);
    else if (bootTime() >= this.#link.until) this.#connect();
    path.readDevice(this.#route);
    if (this.#link.kind === "connected") this.#flush(this.#link.connection);
  }

  /** Closes a socket that is not a connection yet. */
  [Symbol.dispose](): void {
    if (this.#link.kind === "connecting") libc.close(this.#link.fd);
  }

  readonly #route = (): ClassicConnection | undefined =>
    this.#link.kind === "connected" ? this.#link.connection : undefined;

  /** A packet from the server proves that it is one: the next failure is a first one. */
  readonly #admit = (): boolean => {
    this.#backoff.reset();
    return true;
  };

  #serve(connection: ClassicConnection): void {
    if (!this.#path.isReadable(connection)) return;
    const end = this.#path.receive(connection, this.#admit);
    if (end !== undefined) this.#lose(connection, end);
  }

  #flush(connection: ClassicConnection): void {
    const end = this.#path.flush(connection);
    if (end !== undefined) this.#lose(connection, end);
  }

  #lose(connection: ClassicConnection, reason: ClassicEnd): void {
    this.#path.remove(connection);
    const { dropped } = connection;
    this.#path.report({ kind: "closed", remote: this.#server.toString(), reason, dropped });
    this.#retry("the connection has ended");
  }

  #connect(): void {
    try {
      const fd = connectTcp(this.#server);
      this.#link = { kind: "connecting", fd, until: bootTime() + connectTimeoutMs };
      this.#path.watchExtra(fd, POLLOUT);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#retry(error.message);
    }
  }

  #complete({ fd, until }: Link & { kind: "connecting" }): void {
    if (!this.#path.isExtraReady && bootTime() < until) return;
    const failure = this.#path.isExtraReady
      ? connectionError(fd, this.#server)?.message
      : `no answer from TCP ${this.#server}`;
    this.#path.watchExtra(undefined);
    if (failure !== undefined) {
      libc.close(fd);
      this.#retry(failure);
      return;
    }
    const connection = this.#path.add(fd, this.#server);
    if (connection !== undefined) this.#link = { kind: "connected", connection };
  }

  #retry(cause: string): void {
    const inMs = this.#backoff.next(Math.random());
    this.#link = { kind: "idle", until: bootTime() + inMs };
    this.#path.report({ kind: "retrying", remote: this.#server.toString(), inMs, cause });
  }
}
