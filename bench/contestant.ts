/** Who is compared: a program that joins the two hosts by a tunnel. Each has one file in `contestants/`. */
import type { Program } from "./program.ts";
import type { Host, TwoHosts } from "./two-hosts.ts";

export interface Contestant {
  /** As rows and JSON name it, such as `wireguard-go`; no two in one bench have the same. */
  readonly name: string;
  readonly version: string;
  /** Opens a tunnel, ready to carry packets from host a to host b; its processes belong to `resources`. */
  readonly open: (hosts: TwoHosts, resources: AsyncDisposableStack, signal: AbortSignal) => Promise<TunnelPair>;
  /** Absent where it does not speak WireGuard's control protocol: what needs that is then not measured. */
  readonly wireguard?: WireguardProgram;
}

/** Both ends' processes. */
export interface TunnelPair {
  readonly a: Program;
  readonly b: Program;
  /**
   * From the start of each process to the interface's being up, in milliseconds. Absent where the end waits for the
   * other one, as OpenVPN does.
   */
  readonly readyMs?: readonly [a: number, b: number];
}

/** A program that makes an interface and is then configured through /run/wireguard/NAME.sock, as wireguard-go is. */
export interface WireguardProgram {
  /** Starts one end, in the foreground, whose interface has this name. */
  readonly start: (host: Host, name: string, signal: AbortSignal) => Program;
}
