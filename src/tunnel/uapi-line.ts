/**
 * The lines of the configuration protocol and what may stand in one: `key=value`, all ASCII. Whoever writes them holds
 * root's socket, but is not believed: a line has a limit, and what is wrong is a `Refusal` that carries the errno of the
 * reply. Secrets are read from the bytes and never become a string.
 */
import { Cidr, Endpoint, IpAddress } from "../base/address.ts";
import { keyLength } from "../base/keys.ts";

/** No line of the protocol is a third as long: a preshared key takes 78 bytes. */
const maximumLine = 256;
const newline = 0x0a;
const equalsSign = 0x3d;

/** errno values of replies, which are Linux's own whatever the system (https://www.wireguard.com/xplatform/). */
export const ReplyErrno = { EIO: 5, EINVAL: 22, EPROTO: 71, EADDRINUSE: 98 } as const;

/** Why an operation ended early. `message` is for the log; the client learns the errno. */
export class Refusal extends Error {
  readonly errno: number;

  constructor(errno: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Refusal";
    this.errno = errno;
  }
}

/** Cuts a stream of bytes into lines, wherever the reads end. Holds at most one line. */
export class LineReader {
  readonly #partial = new Uint8Array(maximumLine);
  #length = 0;

  /** Whether the stream so far ends within a line. */
  get isWithinLine(): boolean {
    return this.#length > 0;
  }

  /** The lines that `chunk` completes, without their ends; each is valid until the next is asked for. Throws `Refusal`. */
  *read(chunk: Uint8Array): Generator<Uint8Array, void> {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const tail = chunk.subarray(start, end);
      start = end + 1;
      if (this.#length === 0) {
        if (tail.length > maximumLine) throw tooLong();
        yield tail;
      } else {
        this.#keep(tail);
        const line = this.#partial.subarray(0, this.#length);
        this.#length = 0;
        yield line;
      }
    }
    this.#keep(chunk.subarray(start));
  }

  /** Overwrites what it holds. */
  [Symbol.dispose](): void {
    this.#partial.fill(0);
  }

  #keep(bytes: Uint8Array): void {
    if (this.#length + bytes.length > maximumLine) throw tooLong();
    this.#partial.set(bytes, this.#length);
    this.#length += bytes.length;
  }
}

function tooLong(): Refusal {
  return new Refusal(ReplyErrno.EPROTO, `a line is longer than ${maximumLine} bytes`);
}

/** A line taken apart at its first `=`. Throws `Refusal` where it has none. */
export function parseLine(line: Uint8Array): { key: string; value: Uint8Array } {
  const at = line.indexOf(equalsSign);
  if (at < 0) throw new Refusal(ReplyErrno.EPROTO, "a line has no =");
  return { key: asText(line.subarray(0, at)), value: line.subarray(at + 1) };
}

/** What stands in a line that is no secret. Bytes beyond ASCII become characters that no value may have. */
export function asText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** The 32 bytes of 64 hexadecimal digits, in memory of their own that the caller wipes. */
export function parseKey(key: string, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(keyLength);
  let wrong = value.length === 2 * keyLength ? 0 : 1;
  for (let i = 0; i < keyLength; i++) {
    const high = digit(value[2 * i] ?? 0);
    const low = digit(value[2 * i + 1] ?? 0);
    wrong |= (high | low) & ~15;
    bytes[i] = (high << 4) | low;
  }
  if (wrong === 0) return bytes;
  bytes.fill(0);
  throw new Refusal(ReplyErrno.EINVAL, `${key} is not 64 hexadecimal digits`); // which may be a secret: not quoted
}

/** A decimal number from 0 to `maximum`. */
export function parseNumber(key: string, value: Uint8Array, maximum: number): number {
  const text = asText(value);
  const number = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (number <= maximum) return number;
  throw invalid(key, text, `a number from 0 to ${maximum}`);
}

/** A flag says `true` or is not there. */
export function requireTrue(key: string, value: Uint8Array): void {
  if (asText(value) !== "true") throw invalid(key, asText(value), "true");
}

/** `ADDRESS/LENGTH`, or `-ADDRESS/LENGTH` for one to take away. */
export function parseAllowedIp(value: Uint8Array): { cidr: Cidr; isRemoval: boolean } {
  const text = asText(value);
  const isRemoval = text.startsWith("-");
  try {
    if (text.includes("/")) return { cidr: Cidr.parse(isRemoval ? text.slice(1) : text), isRemoval };
  } catch {
    // said below
  }
  throw invalid("allowed_ip", text, "a prefix such as 10.8.0.0/24");
}

/**
 * `192.0.2.1:51820`, `[2001:db8::1]:51820`, or with the scope of a link-local address (RFC 4007 §11), which is an
 * interface's name or index: `[fe80::1%eth0]:51820`.
 */
export function parseEndpoint(value: Uint8Array, indexOf: (interfaceName: string) => number | undefined): Endpoint {
  const text = asText(value);
  const scoped = /^\[([^\]%]+)%([^\]]{1,15})\]:([0-9]{1,5})$/.exec(text);
  try {
    if (scoped === null) return Endpoint.parse(text);
    const [, address, zone, port] = scoped;
    const scope = /^[0-9]{1,9}$/.test(zone) ? Number(zone) : indexOf(zone);
    if (scope !== undefined) return new Endpoint(IpAddress.parse(address), Number(port), scope);
  } catch {
    // said below
  }
  throw invalid("endpoint", text, "an address and a port such as 192.0.2.1:51820 or [2001:db8::1]:51820");
}

function invalid(key: string, text: string, expected: string): Refusal {
  return new Refusal(ReplyErrno.EINVAL, `${key} is ${JSON.stringify(text)} and should be ${expected}`);
}

/** The value of a hexadecimal digit; beyond 15 for what is none. */
function digit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : 16;
}
