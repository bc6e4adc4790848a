/**
 * A host whose whole traffic may go through a tunnel, and the server at its other end:
 *
 *     left  192.0.2.1  eth0 ------ eth0  192.0.2.2  right, which has 198.51.100.1 and 2001:db8:5::1 as well
 *     left  10.8.0.1 ==== wg0 ==== 10.8.0.2  right
 *
 * The left's own default routes lead to a gateway that does not exist: what answers from the outside world has gone
 * through the tunnel.
 */
import { randomBytes } from "node:crypto";
import { Cidr, IpAddress } from "../../src/base/address.ts";
import { PrivateKey } from "../../src/base/keys.ts";
import { Sysctl } from "../../src/os/sysctl.ts";
import { ManagedHost } from "./managed-host.ts";
import { ping } from "./ping.ts";
import { publicKeyOf } from "./tunnel-pair.ts";
import { Underlay } from "./underlay.ts";
import { WarrenProcess } from "./warren-process.ts";

export const world = { 4: "198.51.100.1", 6: "2001:db8:5::1" } as const;
const serverPort = 5002;

export interface FullTunnelFile {
  readonly addresses?: string;
  readonly allowedIps?: string;
  readonly dns?: string;
  /** More lines of [Interface]. */
  readonly more?: string;
}

export class FullTunnelNetwork implements Disposable {
  readonly underlay: Underlay = new Underlay();
  readonly host: ManagedHost;
  readonly #keys = { left: new PrivateKey(randomBytes(32)), right: new PrivateKey(randomBytes(32)) };

  constructor() {
    const { left, right } = this.underlay;
    this.host = new ManagedHost(left);

    right.setUp("lo", `${world[4]}/32`, `${world[6]}/128`);
    for (const [destination, via] of [
      ["0.0.0.0/0", "192.0.2.99"],
      ["::/0", "2001:db8::99"],
    ]) {
      left.config.routes.add({ destination: Cidr.parse(destination), via: IpAddress.parse(via) });
    }
    left.namespace.run(() => {
      Sysctl.set("net/ipv4/ip_forward", 0); // it began with the machine's own
      Sysctl.set("net/ipv4/conf/all/accept_redirects", 0); // which forwarding sets by itself
    });
  }

  /** The server, until the network is disposed of. */
  async serve(): Promise<void> {
    const config = [
      "[Interface]",
      `PrivateKey = ${this.#keys.right.reveal()}`,
      `ListenPort = ${serverPort}`,
      "Address = 10.8.0.2/24, fd08::2/64",
      "Table = off",
      "[Peer]",
      `PublicKey = ${publicKeyOf(this.#keys.left)}`,
      "AllowedIPs = 10.8.0.0/16, fd08::/64",
    ].join("\n");
    await WarrenProcess.start(this.underlay.right, "wg0", config, { ownSockets: true });
  }

  /** A configuration of the left. */
  file({
    addresses = "10.8.0.1/24, fd08::1/64",
    allowedIps = "0.0.0.0/0, ::/0",
    dns,
    more = "",
  }: FullTunnelFile): string {
    return [
      "[Interface]",
      `PrivateKey = ${this.#keys.left.reveal()}`,
      `Address = ${addresses}`,
      ...(dns === undefined ? [] : [`DNS = ${dns}`]),
      more,
      "[Peer]",
      `PublicKey = ${publicKeyOf(this.#keys.right)}`,
      `AllowedIPs = ${allowedIps}`,
      `Endpoint = 192.0.2.2:${serverPort}`,
      "",
    ].join("\n");
  }

  /** How many of two addresses of the outside world answer the left. */
  async reached(): Promise<number> {
    const reports = [await ping(this.underlay.left, world[4]), await ping(this.underlay.left, world[6])];
    return reports.reduce((sum, report) => sum + report.received, 0);
  }

  [Symbol.dispose](): void {
    this.underlay[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}
