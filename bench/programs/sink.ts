/**
 * A program for host b: receives what `blaster.ts` sends, and counts it. Its argument is the address and port to listen
 * on. Each line of its input is one `Catch`; it answers with an empty line when it listens, and with a `Caught` when
 * nothing of that blast has come for a while. What is left of earlier blasts is not counted.
 */
import { createInterface } from "node:readline";
import { Endpoint } from "../../src/base/address.ts";
import { Arena } from "../../src/os/arena.ts";
import { libc } from "../../src/os/libc.ts";
import { Poller } from "../../src/os/poller.ts";
import { sockaddrOf } from "../../src/os/sockaddr.ts";
import { must } from "../../src/os/system-error.ts";
import { DatagramRing, openDatagramSocket } from "./datagram-calls.ts";

export interface Catch {
  readonly number: number;
  /** How long the blast lasts. */
  readonly milliseconds: number;
}

export interface Caught {
  /** All that came. */
  readonly received: number;
  /** What came within the blast's time, counted from its first datagram. */
  readonly inTime: number;
}

/** What is in flight when the blast ends has come by then: both socket buffers of a tunnel hold less. */
const silenceMs = 150;
const firstMs = 2000;

const name = sockaddrOf(Endpoint.parse(process.argv[2]));
const fd = openDatagramSocket();
must("bind", libc.bind(fd, name, name.length));
using ring = new DatagramRing();
using arena = new Arena({ size: 65_536 });
const poller = new Poller(arena, 64, [fd]);

for await (const line of createInterface({ input: process.stdin })) {
  const { number, milliseconds } = JSON.parse(line) as Catch;
  console.log("");
  console.log(JSON.stringify(receive(number, milliseconds) satisfies Caught));
}

function receive(number: number, milliseconds: number): Caught {
  let received = 0;
  let inTime = 0;
  let first = 0;
  let last = performance.now();
  for (;;) {
    const now = performance.now();
    const patience = received === 0 ? firstMs : silenceMs;
    if (now - last > patience) return { received, inTime };
    const count = ring.receive(fd);
    if (count === 0) {
      poller.wait(last + patience - now + 1);
      continue;
    }
    let fresh = 0;
    for (let i = 0; i < count; i++) if (ring.view.getUint32(ring.at(i)) === number) fresh++;
    if (fresh === 0) continue;
    if (received === 0) first = now;
    received += fresh;
    if (now - first < milliseconds) inTime += fresh;
    last = now;
  }
}
