/**
 * A program for host a: sends datagrams of one length at a given rate. Its arguments are the address and port to send to
 * and the length in bytes; each line of its input is one `Blast`, answered by one `Blasted`, both JSON. Every datagram
 * begins with the blast's number.
 *
 * Datagrams that are due leave together, up to 64 a call, and a quarter of a millisecond passes between bursts. Whoever
 * was kept from the processor does not catch up by more than `catchUpMs`: that would be a burst nobody asked for.
 */
import { createInterface } from "node:readline";
import { Endpoint } from "../../src/base/address.ts";
import { libc } from "../../src/os/libc.ts";
import { sockaddrOf } from "../../src/os/sockaddr.ts";
import { must } from "../../src/os/system-error.ts";
import { batchSize, DatagramRing, openDatagramSocket } from "./datagram-calls.ts";

export interface Blast {
  readonly number: number;
  readonly milliseconds: number;
  /** Datagrams a second; 0 is as many as can be sent. */
  readonly rate: number;
}

export interface Blasted {
  readonly sent: number;
}

const pauseMs = 0.2;
const catchUpMs = 4;

const [, , to, length] = process.argv;
const name = sockaddrOf(Endpoint.parse(to));
const fd = openDatagramSocket();
must("connect", libc.connect(fd, name, name.length));
using ring = new DatagramRing(Number(length));
const pause = new Int32Array(new SharedArrayBuffer(4));

for await (const line of createInterface({ input: process.stdin })) {
  const { number, milliseconds, rate } = JSON.parse(line) as Blast;
  for (let i = 0; i < batchSize; i++) ring.view.setUint32(ring.at(i), number);
  console.log(JSON.stringify({ sent: blast(milliseconds, rate) } satisfies Blasted));
}

function blast(milliseconds: number, rate: number): number {
  const begun = performance.now();
  let sent = 0;
  let forgiven = 0;
  for (let passed = 0; passed < milliseconds; passed = performance.now() - begun) {
    let due = batchSize;
    if (rate > 0) {
      due = Math.floor((passed * rate) / 1000) - sent - forgiven;
      const late = due - Math.ceil((catchUpMs * rate) / 1000);
      if (late > 0) {
        forgiven += late;
        due -= late;
      }
      if (due < 1) {
        Atomics.wait(pause, 0, 0, pauseMs);
        continue;
      }
    }
    sent += ring.send(fd, Math.min(due, batchSize));
  }
  return sent;
}
