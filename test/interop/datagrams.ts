/** Receiving for tests: waits in `poll` for what must come, so that nothing sleeps. */
import assert from "node:assert/strict";
import type { Endpoint } from "../../src/base/address.ts";
import { Arena } from "../../src/os/arena.ts";
import { libc } from "../../src/os/libc.ts";
import { Poller } from "../../src/os/poller.ts";
import { decodeSockaddr, sockaddrSize } from "../../src/os/sockaddr.ts";

const patienceMs = 5000;

export interface ReceivedDatagram {
  readonly text: string;
  readonly source: Endpoint | undefined;
}

/** Fails where `fd` does not become readable. */
export function awaitReadable(fd: number): void {
  using arena = new Arena({ size: 65_536 });
  assert.equal(new Poller(arena, 0, [fd]).wait(patienceMs), 1, `nothing arrived within ${patienceMs} ms`);
}

export function receiveDatagram(fd: number): ReceivedDatagram {
  awaitReadable(fd);
  const bytes = new Uint8Array(2048);
  const name = new Uint8Array(sockaddrSize);
  const length = libc.recvfrom(fd, bytes, bytes.length, 0, name, Uint8Array.of(name.length, 0, 0, 0));
  assert.ok(length >= 0, "recvfrom failed");
  return { text: new TextDecoder().decode(bytes.subarray(0, length)), source: decodeSockaddr(name) };
}

/** Whether nothing is waiting at `fd` now; for what was sent before something else that did arrive. */
export function isQuiet(fd: number): boolean {
  using arena = new Arena({ size: 65_536 });
  return new Poller(arena, 0, [fd]).wait(0) === 0;
}
