/**
 * The server's loop of `warren classic`: any number of clients up to a limit on one TUN device. Which client a packet
 * goes to is learnt from the packets that clients send. There is no authentication, so the first to use an address has
 * it for as long as its connection lasts.
 */
import type { IpAddress } from "../base/address.ts";
import { bootTime } from "../os/clock.ts";
import { SystemError } from "../os/system-error.ts";
import { acceptTcp } from "../os/tcp-socket.ts";
import { AddressBook } from "../transport/address-book.ts";
import type { ClassicConnection, ClassicEnd } from "../transport/classic.ts";
import type { ClassicPath } from "./classic-path.ts";

/** How long nobody is let in where there is no descriptor for them. */
const acceptPauseMs = 1000;

export class ClassicServer {
  readonly #path: ClassicPath;
  readonly #listener: number;
  readonly #book: AddressBook;
  /** Attempts to let somebody in since the last one that did not fail for want of descriptors. */
  #failedAccepts = 0;
  /** Until then the listener is not looked at; Infinity while it is. */
  #pausedUntil = Number.POSITIVE_INFINITY;

  /** `listener` is a listening socket, the caller's to close. */
  constructor(path: ClassicPath, listener: number) {
    this.#path = path;
    this.#listener = listener;
    this.#book = new AddressBook(path.connections.length);
    path.watchExtra(listener);
  }

  /** Waits once and does all there is to do. */
  turn(): void {
    const path = this.#path;
    path.wait(this.#pausedUntil);
    const hasCallers = path.isExtraReady;
    for (const connection of path.connections) {
      if (connection === undefined || !path.isReadable(connection)) continue;
      const end = path.receive(connection, this.#admit);
      if (end !== undefined) this.#close(connection, end);
    }
    path.readDevice(this.#route);
    for (const connection of path.connections) {
      if (connection?.isWaiting !== true) continue;
      const end = path.flush(connection);
      if (end !== undefined) this.#close(connection, end);
    }
    if (hasCallers) this.#accept();
    else if (bootTime() >= this.#pausedUntil) this.#listen();
  }

  readonly #route = (at: number): ClassicConnection | undefined => {
    const slot = this.#book.destinationOf(this.#path.bytes, at);
    return slot < 0 ? undefined : this.#path.connections[slot];
  };

  readonly #admit = (connection: ClassicConnection, at: number): boolean => {
    const claim = this.#book.claimSource(this.#path.bytes, at, connection.slot);
    switch (claim.kind) {
      case "own":
        return true;
      case "learnt":
        this.#path.report({
          kind: "learnt",
          remote: connection.remote.toString(),
          address: claim.address.toString(),
        });
        return true;
      case "taken":
        this.#refuse(connection, claim.address, claim.owner);
        return false;
      case "too-many":
        return false;
    }
  };

  #refuse(connection: ClassicConnection, address: IpAddress, owner: number): void {
    this.#forget(connection);
    this.#path.report({
      kind: "refused",
      remote: connection.remote.toString(),
      address: address.toString(),
      owner: String(this.#path.connections[owner]?.remote),
    });
  }

  #close(connection: ClassicConnection, reason: ClassicEnd): void {
    this.#forget(connection);
    this.#path.report({
      kind: "closed",
      remote: connection.remote.toString(),
      reason,
      dropped: connection.dropped,
    });
  }

  #forget(connection: ClassicConnection): void {
    this.#book.release(connection.slot);
    this.#path.remove(connection);
  }

  /** One a turn: a flood of callers does not keep the packets waiting. */
  #accept(): void {
    try {
      const accepted = acceptTcp(this.#listener);
      if (this.#failedAccepts > 0) this.#path.report({ kind: "resumed", attempts: this.#failedAccepts });
      this.#failedAccepts = 0;
      if (accepted !== undefined) this.#path.add(accepted.fd, accepted.remote);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (this.#failedAccepts++ === 0) this.#path.report({ kind: "paused", cause: error.message });
      this.#pausedUntil = bootTime() + acceptPauseMs;
      this.#path.watchExtra(undefined); // who waits keeps it ready: the loop would spin
    }
  }

  #listen(): void {
    this.#pausedUntil = Number.POSITIVE_INFINITY;
    this.#path.watchExtra(this.#listener);
  }
}
