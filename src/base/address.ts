/**
 * Internet addresses, prefixes and endpoints as values: parsed once at the door, compared by their bytes, printed in
 * the canonical form of RFC 5952. No look-up of names happens here.
 */
import { pack, unpack } from "./bytes.ts";
import { VpnError } from "./errors.ts";

export type AddressFamily = 4 | 6;

/** An IPv4 address of 4 bytes or an IPv6 address of 16, in network order. */
export class IpAddress {
  /** The bytes as a string of as many characters: see `pack`. */
  readonly packed: string;

  constructor(bytes: Uint8Array) {
    if (bytes.length !== 4 && bytes.length !== 16) {
      throw new VpnError("invalid-argument", `an IP address has 4 or 16 bytes, not ${bytes.length}`);
    }
    this.packed = pack(bytes);
  }

  /** A copy. */
  get bytes(): Uint8Array {
    return unpack(this.packed);
  }

  /** Parses dotted or colon notation. Throws `invalid-argument`. */
  static parse(text: string): IpAddress {
    const bytes = text.includes(":") ? parseIpv6(text) : parseIpv4(text);
    if (bytes === undefined) {
      throw new VpnError("invalid-argument", `${JSON.stringify(text)} is not an IP address`, {
        remedy: "write it like 10.8.0.1 or fd00::1",
      });
    }
    return new IpAddress(bytes);
  }

  get family(): AddressFamily {
    return this.packed.length === 4 ? 4 : 6;
  }

  /** Bits in an address of this family: 32 or 128. */
  get bits(): number {
    return this.packed.length * 8;
  }

  equals(other: IpAddress): boolean {
    return this.packed === other.packed;
  }

  toString(): string {
    return this.family === 4 ? this.bytes.join(".") : formatIpv6(this.bytes);
  }

  toJSON(): string {
    return this.toString();
  }
}

/** An address and a prefix length. Host bits are kept (an interface address needs them); `network` clears them. */
export class Cidr {
  readonly address: IpAddress;
  readonly prefix: number;

  constructor(address: IpAddress, prefix: number) {
    if (!Number.isInteger(prefix) || prefix < 0 || prefix > address.bits) {
      throw new VpnError("invalid-argument", `/${prefix} is not a prefix length of an IPv${address.family} address`, {
        remedy: `use /0 to /${address.bits}`,
      });
    }
    this.address = address;
    this.prefix = prefix;
  }

  /** Parses `10.8.0.0/24`; an address alone means the host itself, /32 or /128. Throws `invalid-argument`. */
  static parse(text: string): Cidr {
    const slash = text.indexOf("/");
    if (slash < 0) {
      const address = IpAddress.parse(text);
      return new Cidr(address, address.bits);
    }
    const prefix = text.slice(slash + 1);
    if (!/^(0|[1-9][0-9]{0,2})$/.test(prefix)) {
      throw new VpnError("invalid-argument", `${JSON.stringify(text)} has no valid prefix length`, {
        remedy: "write it like 10.8.0.0/24 or fd00::/64",
      });
    }
    return new Cidr(IpAddress.parse(text.slice(0, slash)), Number(prefix));
  }

  get family(): AddressFamily {
    return this.address.family;
  }

  /** The same prefix with all host bits zero. */
  get network(): Cidr {
    const bytes = this.address.bytes.map((byte, i) => byte & prefixMask(this.prefix - 8 * i));
    return new Cidr(new IpAddress(bytes), this.prefix);
  }

  contains(address: IpAddress): boolean {
    if (address.family !== this.family) return false;
    return new Cidr(address, this.prefix).network.address.equals(this.network.address);
  }

  equals(other: Cidr): boolean {
    return this.prefix === other.prefix && this.address.equals(other.address);
  }

  toString(): string {
    return `${this.address}/${this.prefix}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

/** The near side of a way: one of our own addresses, and the index of the interface over which it was spoken to. */
export interface LocalAddress {
  readonly address: IpAddress;
  readonly device: number;
}

/** What carries datagrams on from an endpoint on this machine, where UDP does not: then that is only where they are handed over. */
export interface Carriage {
  /** For a reader: `tls://198.51.100.7:443`. */
  readonly name: string;
  /** The other end of the connection; undefined while it is not known. */
  readonly remote: Endpoint | undefined;
}

/** Where a datagram goes to or comes from: an address and a UDP port. */
export class Endpoint {
  readonly address: IpAddress;
  readonly port: number;
  /** Interface index for link-local IPv6 addresses (RFC 4007), else 0. */
  readonly scope: number;
  /** Which of our addresses the datagram came to, so that an answer can leave from there; undefined if any will do. */
  readonly local: LocalAddress | undefined;
  /** What takes the datagrams from there to the peer; undefined for plain UDP, where the endpoint is the peer's own. */
  readonly carriage: Carriage | undefined;

  constructor(address: IpAddress, port: number, scope = 0, local?: LocalAddress, carriage?: Carriage) {
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new VpnError("invalid-argument", `${port} is not a port`, { remedy: "use 1 to 65535" });
    }
    this.address = address;
    this.port = port;
    this.scope = scope;
    this.local = local;
    this.carriage = carriage;
  }

  /** Parses `192.0.2.1:51820` or `[2001:db8::1]:51820`. Throws `invalid-argument`. */
  static parse(text: string): Endpoint {
    const match = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text);
    if (match === null) {
      throw new VpnError("invalid-argument", `${JSON.stringify(text)} is not an endpoint`, {
        remedy: "write it like 192.0.2.1:51820 or [2001:db8::1]:51820",
      });
    }
    return new Endpoint(IpAddress.parse(match[1] ?? match[2]), Number(match[3]));
  }

  get family(): AddressFamily {
    return this.address.family;
  }

  /** Whether both are the same place, whichever way leads there. */
  equals(other: Endpoint): boolean {
    return this.port === other.port && this.scope === other.scope && this.address.equals(other.address);
  }

  /** Whether both were also spoken to in the same way. */
  isReachedLike({ local }: Endpoint): boolean {
    if (this.local === undefined || local === undefined) return this.local === local;
    return this.local.device === local.device && this.local.address.equals(local.address);
  }

  /** The same place, with an answer from any of our addresses. */
  get withoutLocal(): Endpoint {
    if (this.local === undefined) return this;
    return new Endpoint(this.address, this.port, this.scope, undefined, this.carriage);
  }

  /** The same place, from which a carriage takes the datagrams on. */
  carriedBy(carriage: Carriage | undefined): Endpoint {
    return new Endpoint(this.address, this.port, this.scope, this.local, carriage);
  }

  /** The peer's own address and port, as far as it is known; what is handed over on this machine is not at its end. */
  get remote(): Endpoint | undefined {
    return this.carriage === undefined ? this : this.carriage.remote;
  }

  /** Where the peer is, for a reader: what carries the datagrams, where something does. */
  toString(): string {
    if (this.carriage !== undefined) return this.carriage.name;
    if (this.family === 4) return `${this.address}:${this.port}`;
    return `[${this.address}${this.scope === 0 ? "" : `%${this.scope}`}]:${this.port}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

function prefixMask(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 8 ? 255 : 256 - (1 << (8 - bits));
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256)) {
    return undefined;
  }
  return Uint8Array.from(parts, Number);
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, i) => parseGroups(half, i === halves.length - 1));
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === 16 ? Uint8Array.from(head) : undefined;
  if (tail === undefined || head.length + tail.length > 14) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** The bytes of colon-separated groups. Where they end the address, the last may be IPv4 in dots (RFC 4291 §2.2). */
function parseGroups(text: string, isEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [i, group] of groups.entries()) {
    if (isEnd && i === groups.length - 1 && group.includes(".")) {
      const dotted = parseIpv4(group);
      if (dotted === undefined) return undefined;
      bytes.push(...dotted);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 255);
    }
  }
  return bytes;
}

/** RFC 5952 §4: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i] << 8) | bytes[2 * i + 1]);
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) {
      start = i;
      length = run;
    }
  }
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":");
  return start < 0 ? text(0, 8) : `${text(0, start)}::${text(start + length, 8)}`;
}
