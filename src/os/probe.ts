/**
 * What this kernel offers to a tunnel, found out by trying: a version number says little, since distributions carry
 * features back and containers take them away. A probe opens what it asks about, closes it, and changes nothing.
 */
import { spawnSync } from "node:child_process";
import { release } from "node:os";
import { VpnError } from "../base/errors.ts";
import { Arena } from "./arena.ts";
import { NetworkNamespace } from "./namespace.ts";
import { openssl } from "./openssl.ts";
import { TunDevice, type TunOffloads } from "./tun-device.ts";
import { openUdpSockets } from "./udp-socket.ts";

/** Something that is here, or why it is not. */
export type Finding<T> =
  | { readonly kind: "present"; readonly value: T }
  | { readonly kind: "absent"; readonly why: string };

export interface UdpFindings {
  readonly ipv6: boolean;
  readonly segmentation: boolean;
  readonly receiveOffload: boolean;
  /** Of the 7 MB asked for. */
  readonly receiveBufferBytes: number;
}

export class Capabilities {
  /** The kernel's release, such as `6.12.5`. */
  readonly kernel: string;
  readonly tun: Finding<TunOffloads>;
  readonly udp: Finding<UdpFindings>;
  /** Whether a user without privilege can have namespaces of their own. */
  readonly userNamespaces: Finding<true>;
  /** Whether arenas get an address below 2^31, which foreign calls take without garbage. */
  readonly lowAddresses: boolean;
  /** Which of OpenSSL's interfaces this build of Node exports. */
  readonly openssl: { readonly block: boolean; readonly evp: boolean };

  private constructor() {
    this.kernel = release();
    this.tun = attempt(probeTun);
    this.udp = attempt(probeUdp);
    this.userNamespaces = probeUserNamespaces();
    using arena = new Arena({ size: 65_536 });
    this.lowAddresses = arena.base < 2 ** 31;
    this.openssl = { block: openssl.block !== undefined, evp: openssl.evp !== undefined };
  }

  /** Takes some tens of milliseconds, most of them in `unshare`. */
  static probe(): Capabilities {
    return new Capabilities();
  }

  /** One line for each finding. */
  toString(): string {
    const { tun, udp, userNamespaces } = this;
    const cipher = this.openssl.block ? "OpenSSL block functions" : this.openssl.evp ? "OpenSSL EVP" : "node:crypto";
    return [
      `kernel           ${this.kernel}`,
      `TUN device       ${tun.kind === "absent" ? `no: ${tun.why}` : describeTun(tun.value)}`,
      `UDP              ${udp.kind === "absent" ? `no: ${udp.why}` : describeUdp(udp.value)}`,
      `user namespaces  ${userNamespaces.kind === "absent" ? `no: ${userNamespaces.why}` : "yes"}`,
      `cipher           ${cipher}`,
      `low addresses    ${this.lowAddresses ? "yes: calls of the kernel make no garbage" : "no: calls of the kernel make garbage"}`,
    ].join("\n");
  }
}

function describeTun({ checksum, tso4, tso6, uso }: TunOffloads): string {
  const offloads = [checksum && "checksum", tso4 && "TSO over IPv4", tso6 && "TSO over IPv6", uso && "USO"].filter(
    Boolean,
  );
  return offloads.length === 0 ? "without offloads" : `with ${offloads.join(", ")}`;
}

function describeUdp(found: UdpFindings): string {
  return [
    found.ipv6 ? "IPv4 and IPv6" : "IPv4 only",
    found.segmentation ? "UDP_SEGMENT" : "no UDP_SEGMENT",
    found.receiveOffload ? "UDP_GRO" : "no UDP_GRO",
    `buffers of ${Math.round(found.receiveBufferBytes / 1000)} kB`,
  ].join(", ");
}

/** In a namespace of its own where that can be had, so that nothing on the machine sees an interface come and go. */
function probeTun(): TunOffloads {
  const open = () => {
    using device = TunDevice.open({ name: "probe%d" });
    return device.offloads;
  };
  const elsewhere = attempt(() => NetworkNamespace.create());
  if (elsewhere.kind === "absent") return open();
  using namespace = elsewhere.value;
  return namespace.run(open);
}

function probeUdp(): UdpFindings {
  using sockets = openUdpSockets({ port: 0 });
  const { receiveBufferBytes } = sockets;
  return { ipv6: sockets.v6 !== undefined, ...sockets.offloads, receiveBufferBytes };
}

/** By the program that we would use: the system call itself is refused to a process with threads. */
function probeUserNamespaces(): Finding<true> {
  const { status, error, stderr } = spawnSync("unshare", ["--user", "--map-root-user", "--net", "true"], {
    encoding: "utf8",
    timeout: 5000,
  });
  if (status === 0) return { kind: "present", value: true };
  return { kind: "absent", why: error?.message ?? stderr.trim() };
}

function attempt<T>(action: () => T): Finding<T> {
  try {
    return { kind: "present", value: action() };
  } catch (error) {
    if (error instanceof VpnError) return { kind: "absent", why: error.line };
    throw error;
  }
}
