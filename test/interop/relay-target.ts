/** What stands behind a relay in tests: a UDP socket that answers as WireGuard would, and a clock that hurries. */

import { Endpoint } from "../../src/base/address.ts";
import { bootTime } from "../../src/os/clock.ts";
import type { Clock } from "../../src/transport/clock.ts";
import { DatagramPort } from "../../src/transport/datagram-port.ts";

/** Twenty seconds in one: what waits for ten waits for half of one. */
const haste = 20;

export const hastyClock: Clock = {
  now: () => haste * bootTime(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs / haste);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

export const Message = { initiation: 1, response: 2, cookieReply: 3, data: 4 } as const;

/** A message of a length, of which the fifth byte says whose it is. */
export function message(type: number, length: number, mark = 0): Buffer {
  const bytes = Buffer.alloc(length, 0x5a);
  bytes.fill(0, 0, 4);
  bytes[0] = type;
  if (length > 4) bytes[4] = mark;
  return bytes;
}

/** Whose messages have no answer. */
export const stranger = 0xff;
/** Whose messages have a cookie reply, as a stranger's have under load. */
export const strangerUnderLoad = 0xfe;

/** Answers an initiation with a response, and data with itself, unless they are a stranger's. */
export class Target implements Disposable {
  received = 0;
  readonly #port: DatagramPort;

  static async open(): Promise<Target> {
    let answer: (bytes: Uint8Array, address: string, port: number) => void = () => {};
    const port = await DatagramPort.open({
      local: Endpoint.parse("127.0.0.1:0"),
      onDatagram: (...datagram) => answer(...datagram),
    });
    const target = new Target(port);
    answer = (bytes, address, from) => target.#answer(bytes, address, from);
    return target;
  }

  private constructor(port: DatagramPort) {
    this.#port = port;
  }

  get endpoint(): Endpoint {
    return this.#port.local;
  }

  [Symbol.dispose](): void {
    this.#port[Symbol.dispose]();
  }

  #answer(bytes: Uint8Array, address: string, port: number): void {
    this.received++;
    if (bytes[4] === stranger) return;
    if (bytes[4] === strangerUnderLoad) {
      this.#port.send(message(Message.cookieReply, 64), DatagramPort.correspondent(address, port));
      return;
    }
    const isInitiation = bytes[0] === Message.initiation;
    const answer = isInitiation ? message(Message.response, 92, bytes[4]) : bytes;
    this.#port.send(answer, DatagramPort.correspondent(address, port));
  }
}
