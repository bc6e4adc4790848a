/**
 * A program for a host: sends datagrams to a UDP port as fast as it can, or as fast as the receiver's buffer empties.
 * Reads one JSON object, a `Flood`, from its input and prints how many datagrams of each group it sent.
 */
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { Endpoint } from "../../src/base/address.ts";
import { fromHex } from "../../src/base/bytes.ts";
import { Arena } from "../../src/os/arena.ts";
import { errno, libc } from "../../src/os/libc.ts";
import { AF_INET, AF_INET6, sockaddrOf } from "../../src/os/sockaddr.ts";
import { must, SystemError } from "../../src/os/system-error.ts";
import { udpQueue } from "./udp-queue.ts";

export interface FloodGroup {
  readonly hex: string;
  readonly count: number;
  /** Offset of four bytes to be another each time. */
  readonly vary?: number;
}

export interface Flood {
  readonly to: string;
  readonly groups: readonly FloodGroup[];
  /** Waits while the receiver's buffer holds more; so the kernel drops nothing. */
  readonly queueLimitBytes?: number;
}

const SOCK_DGRAM_CLOEXEC = 2 | 0x8_0000;
const rounds = 500;

const { to, groups, queueLimitBytes }: Flood = JSON.parse(await text(process.stdin));
const endpoint = Endpoint.parse(to);
const fd = must("socket", libc.socket(endpoint.family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM_CLOEXEC, 0));
const name = sockaddrOf(endpoint);
must("connect", libc.connect(fd, name, name.length));

const arena = new Arena({ size: 4 * 1024 * 1024 });
const view = new DataView(arena.buffer);
const nothing = new Uint8Array(0);
const sent = groups.map(() => 0);
const pause = new Int32Array(new SharedArrayBuffer(4));
let end = 0;
const templates = groups.map(({ hex, count, vary }) => {
  const bytes = fromHex(hex) ?? nothing;
  const at = end;
  new Uint8Array(arena.buffer).set(bytes, at);
  end += (bytes.length + 63) & ~63;
  return { at, length: bytes.length, count, vary };
});

for (let round = 1; round <= rounds; round++) {
  for (const [i, { at, length, count, vary }] of templates.entries()) {
    for (const until = Math.floor((count * round) / rounds); sent[i] < until; sent[i]++) {
      if (vary !== undefined) view.setUint32(at + vary, Math.random() * 0x1_0000_0000);
      const taken = length === 0 ? libc.sendto(fd, nothing, 0, 0, null, 0) : libc.write(fd, arena.base + at, length);
      if (taken !== length) throw new SystemError("send", errno(), { subject: `of ${length} bytes` });
    }
    if (queueLimitBytes === undefined) continue;
    while (
      udpQueue(readFileSync(`/proc/self/net/udp${endpoint.family === 4 ? "" : "6"}`, "utf8"), endpoint.port).bytes >
      queueLimitBytes
    ) {
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}
console.log(JSON.stringify(sent));
