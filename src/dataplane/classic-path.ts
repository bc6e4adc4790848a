/**
 * The packet path of `warren classic`, shared by its server and its client: one arena, one TUN device without a virtio
 * header, and the TCP connections that packets travel by. One thread does both directions, as the seed's does: it polls
 * the device and the sockets, takes what is there, and polls again. A batch from the device is encoded and written to a
 * socket at once.
 *
 * Hot path: `receive`, `readDevice` and `flush`.
 */
import { writeSync } from "node:fs";
import type { Endpoint } from "../base/address.ts";
import { Arena } from "../os/arena.ts";
import { bootTime } from "../os/clock.ts";
import { errno, libc } from "../os/libc.ts";
import { POLLIN, POLLOUT, Poller, pollerSize } from "../os/poller.ts";
import { Errno, SystemError } from "../os/system-error.ts";
import { ClassicConnection, type ClassicEnd, classicConnectionSize } from "../transport/classic.ts";
import { largestPacket } from "../transport/packet-boundaries.ts";

/** What happens on a path that an operator wants to know. */
export type ClassicEvent =
  | { readonly kind: "connected"; readonly remote: string }
  | { readonly kind: "learnt"; readonly remote: string; readonly address: string }
  | { readonly kind: "closed"; readonly remote: string; readonly reason: ClassicEnd; readonly dropped: number }
  | { readonly kind: "refused"; readonly remote: string; readonly address: string; readonly owner: string }
  | { readonly kind: "crowded"; readonly remote: string }
  | { readonly kind: "paused"; readonly cause: string }
  | { readonly kind: "resumed"; readonly attempts: number }
  | { readonly kind: "retrying"; readonly remote: string; readonly inMs: number; readonly cause: string };

export interface ClassicPathOptions {
  /** Descriptors: the device, and the event descriptor that wakes this thread to end. */
  readonly tun: number;
  readonly wake: number;
  readonly maximumConnections: number;
  readonly onEvent: (event: ClassicEvent) => void;
  /** What the other side is called in the seed's lines, and the descriptor they go to; silent where left out. */
  readonly trace: { readonly peer: "SERVER" | "CLIENT"; readonly fd: number } | undefined;
}

/** Packets taken from the device between two looks at the sockets. */
const packetsPerBatch = 96;
const pageSize = 65_536;
/** Positions of the poller's first descriptors; connections follow. */
const Position = { wake: 0, tun: 1, extra: 2, connections: 3 } as const;

export class ClassicPath implements Disposable {
  readonly bytes: Uint8Array;
  readonly #options: ClassicPathOptions;
  readonly #arena: Arena;
  readonly #slots: number;
  readonly #packet: number;
  readonly #connections: (ClassicConnection | undefined)[];
  #poller: Poller;
  #extra: { readonly fd: number; readonly events: number } | undefined;

  constructor(options: ClassicPathOptions) {
    const { maximumConnections } = options;
    this.#options = options;
    this.#packet = (pollerSize(Position.connections + maximumConnections) + 63) & ~63;
    this.#slots = this.#packet + 2 * pageSize;
    const size = this.#slots + maximumConnections * classicConnectionSize;
    this.#arena = new Arena({ size: Math.ceil(size / pageSize) * pageSize });
    this.bytes = new Uint8Array(this.#arena.buffer);
    this.#connections = new Array(maximumConnections).fill(undefined);
    this.#poller = this.#listDescriptors();
  }

  get connections(): readonly (ClassicConnection | undefined)[] {
    return this.#connections;
  }

  /** One more descriptor to poll, such as a listener, or none. */
  watchExtra(fd: number | undefined, events: number = POLLIN): void {
    this.#extra = fd === undefined ? undefined : { fd, events };
    this.#poller = this.#listDescriptors();
  }

  /** Takes over a connected socket; `undefined`, and the socket closed, where there are too many already. */
  add(fd: number, remote: Endpoint): ClassicConnection | undefined {
    const slot = this.#connections.indexOf(undefined);
    if (slot < 0) {
      libc.close(fd);
      this.report({ kind: "crowded", remote: remote.toString() });
      return undefined;
    }
    const at = this.#slots + slot * classicConnectionSize;
    const connection = new ClassicConnection(this.#arena, at, slot, fd, remote);
    this.#connections[slot] = connection;
    this.#poller = this.#listDescriptors();
    this.report({ kind: "connected", remote: remote.toString() });
    return connection;
  }

  /** Closes a connection's socket and forgets it. */
  remove(connection: ClassicConnection): void {
    libc.close(connection.fd);
    this.#connections[connection.slot] = undefined;
    this.#poller = this.#listDescriptors();
  }

  report(event: ClassicEvent): void {
    this.#options.onEvent(event);
  }

  /** Blocks until there is something to do, or it is `until` by `bootTime`; Infinity is for ever. */
  wait(until: number): void {
    let earliest = until;
    for (const [i, connection] of this.#connections.entries()) {
      if (connection === undefined) continue;
      const pausedUntil = connection.isWaiting ? connection.pausedUntil : Number.POSITIVE_INFINITY;
      if (pausedUntil > 0) earliest = Math.min(earliest, pausedUntil);
      this.#poller.watch(Position.connections + i, pausedUntil === 0 ? POLLIN | POLLOUT : POLLIN);
    }
    this.#poller.wait(earliest === Number.POSITIVE_INFINITY ? -1 : Math.max(0, earliest - bootTime()));
  }

  /** Whether the descriptor of `watchExtra` is ready, after `wait`. */
  get isExtraReady(): boolean {
    return this.#extra !== undefined && this.#poller.ready(Position.extra) !== 0;
  }

  /** Whether a connection has something to read, or to say about its end. */
  isReadable(connection: ClassicConnection): boolean {
    return (this.#poller.ready(Position.connections + connection.slot) & ~POLLOUT) !== 0;
  }

  /**
   * Reads from a connection once and writes whole packets to the device, those that `admit` lets through; it may remove
   * the connection. Returns why the connection is at its end, if it is.
   */
  receive(
    connection: ClassicConnection,
    admit: (connection: ClassicConnection, at: number) => boolean,
  ): ClassicEnd | undefined {
    const end = connection.receive();
    const { packets } = connection;
    for (let at = packets.next(); at >= 0; at = packets.next()) {
      if (connection.takeGreeting(at, packets.length)) continue;
      if (!admit(connection, at)) {
        if (this.#connections[connection.slot] !== connection) return undefined;
        continue;
      }
      this.#trace("in", packets.length);
      // The kernel refuses a packet it does not like, or while the device is down: that packet is lost, as on any network.
      if (libc.write(this.#options.tun, this.#arena.base + at, packets.length) < 0) this.#checkDevice(errno(), "write");
    }
    return packets.fault ?? end;
  }

  /** Sends what a connection may send now. Returns why it is at its end, if it is. */
  flush(connection: ClassicConnection): ClassicEnd | undefined {
    return connection.isWaiting ? connection.flush(bootTime()) : undefined;
  }

  /** Takes a batch from the device; `route` says which connection a packet goes to. */
  readDevice(route: (at: number) => ClassicConnection | undefined): void {
    if (this.#poller.ready(Position.tun) === 0) return;
    for (let i = 0; i < packetsPerBatch; i++) {
      const length = libc.read(this.#options.tun, this.#arena.base + this.#packet, largestPacket);
      if (length < 0) {
        this.#checkDevice(errno(), "read");
        return;
      }
      const connection = route(this.#packet);
      if (connection?.send(this.#packet, length) === true) this.#trace("out", length);
    }
  }

  /** Closes what is open and gives the memory back. */
  [Symbol.dispose](): void {
    for (const connection of this.#connections) if (connection !== undefined) libc.close(connection.fd);
    this.#arena[Symbol.dispose]();
  }

  #listDescriptors(): Poller {
    const { tun, wake } = this.#options;
    // No further than the last one: a list longer than the process may have descriptors is refused.
    const count = this.#connections.findLastIndex((connection) => connection !== undefined) + 1;
    const sockets = this.#connections.slice(0, count).map((connection) => connection?.fd ?? -1);
    const poller = new Poller(this.#arena, 0, [wake, tun, this.#extra?.fd ?? -1, ...sockets]);
    if (this.#extra !== undefined) poller.watch(Position.extra, this.#extra.events);
    return poller;
  }

  #checkDevice(failure: number, call: string): void {
    if (failure !== Errno.EBADFD) return;
    throw new SystemError(call, failure, {
      subject: "on the TUN device",
      remedy: "the device was deleted; start again",
    });
  }

  #trace(direction: "in" | "out", length: number): void {
    const { trace } = this.#options;
    if (trace === undefined) return;
    const line =
      direction === "out"
        ? `[TUN→${trace.peer}] Read ${length} bytes from TUN, encrypting...\n`
        : `[${trace.peer}→TUN] Received ${length} bytes, decrypting...\n`;
    try {
      writeSync(trace.fd, line);
    } catch {
      // Whoever read our output has left, or is slower than the packets: these go on.
    }
  }
}
