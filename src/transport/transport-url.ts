/**
 * Where a transport begins or ends, as a URL: `udp://127.0.0.1:51820`, `tcp://host:port`, `tls://host:port`,
 * `ws://host/path`, `wss://host/path`, and `any://address:port/path`, a port that takes all four streams. Pure.
 */
import { IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";

export const schemes = ["udp", "tcp", "tls", "ws", "wss", "any"] as const;
export type Scheme = (typeof schemes)[number];

const defaultPorts: Readonly<Partial<Record<Scheme, number>>> = { tls: 443, ws: 80, wss: 443 };
const secure: readonly Scheme[] = ["tls", "wss", "any"];
const withPath: readonly Scheme[] = ["ws", "wss", "any"];
const example = "write it like udp://127.0.0.1:51820, tcp://vpn.example:443 or wss://vpn.example/path";

export class TransportUrl {
  readonly scheme: Scheme;
  /** A name or an address without brackets; `*` stands for all addresses of both families. */
  readonly host: string;
  readonly port: number;
  /** Of the WebSocket. It may be a secret: `toString` leaves it out. */
  readonly path: string;

  private constructor(scheme: Scheme, host: string, port: number, path: string) {
    this.scheme = scheme;
    this.host = host;
    this.port = port;
    this.path = path;
  }

  /** Throws `invalid-argument`. */
  static parse(text: string): TransportUrl {
    const match = /^([a-z]+):\/\/(?:\[([0-9a-fA-F:.]+)\]|([^\s/:@?#[\]]+))(?::([0-9]{1,5}))?(\/[^\s?#]*)?$/.exec(text);
    if (match === null) throw invalid(text, "is not the URL of a transport", example);
    const scheme = schemes.find((known) => known === match[1]);
    if (scheme === undefined) throw invalid(text, "has an unknown scheme", `use one of ${schemes.join(", ")}`);
    const port = match[4] === undefined ? defaultPorts[scheme] : Number(match[4]);
    if (port === undefined || port > 65_535) throw invalid(text, "names no valid port", "add one, as in :51820");
    if (match[5] !== undefined && match[5] !== "/" && !withPath.includes(scheme)) {
      throw invalid(text, "has a path, which only ws, wss and any have", "leave it out");
    }
    const host = match[2] === undefined ? match[3] : String(IpAddress.parse(match[2]));
    return new TransportUrl(scheme, host, port, match[5] ?? "/");
  }

  /** The address, where the host is one. */
  get address(): IpAddress | undefined {
    return /^[0-9.]+$/.test(this.host) || this.host.includes(":") ? IpAddress.parse(this.host) : undefined;
  }

  /** Whether who listens there needs a certificate. */
  get isSecure(): boolean {
    return secure.includes(this.scheme);
  }

  /** All of it, for a file that may hold secrets. */
  reveal(): string {
    return `${this}${withPath.includes(this.scheme) ? this.path : ""}`;
  }

  /** Without the path. */
  toString(): string {
    return `${this.scheme}://${this.host.includes(":") ? `[${this.host}]` : this.host}:${this.port}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

function invalid(text: string, fault: string, remedy: string): VpnError {
  return new VpnError("invalid-argument", `${JSON.stringify(text)} ${fault}`, { remedy });
}
