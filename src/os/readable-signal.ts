/**
 * Hears on the main thread that a descriptor has become readable, for sockets that libuv refuses to poll (netlink,
 * AF_PACKET). The kernel sends SIGIO when something arrives (fcntl(2), F_SETOWN and O_ASYNC), which Node delivers as an
 * event like any other signal: no thread waits, and nothing here keeps the process alive.
 *
 * For what is rare. Signals that come close together are one, so a listener reads until there is nothing left.
 */
import { libc } from "./libc.ts";
import { must } from "./system-error.ts";

const F_SETFL = 4;
const F_SETOWN = 8;
const O_NONBLOCK = 0x800;
const O_ASYNC = 0x2000;

const listeners = new Set<() => void>();
let installed = false;

/** Calls `listener` whenever something may have arrived on `fd`, which becomes non-blocking. Main thread only. */
export function onReadable(fd: number, listener: () => void): Disposable {
  install();
  listeners.add(listener);
  try {
    must("fcntl", libc.fcntl(fd, F_SETOWN, process.pid), { subject: "for the owner of SIGIO" });
    must("fcntl", libc.fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC), { subject: "for SIGIO" });
  } catch (error) {
    listeners.delete(listener);
    throw error;
  }
  return {
    [Symbol.dispose]() {
      libc.fcntl(fd, F_SETFL, O_NONBLOCK);
      listeners.delete(listener);
    },
  };
}

/** Once and for ever: without a handler a SIGIO still on its way would end the process. */
function install(): void {
  if (installed) return;
  installed = true;
  process.on("SIGIO", () => {
    for (const listener of [...listeners]) listener();
  });
}
