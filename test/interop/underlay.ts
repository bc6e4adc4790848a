/**
 * Two hosts on one cable, with the kernel's own counters at hand:
 *
 *     left  192.0.2.1, 2001:db8::1  eth0 ------ eth0  192.0.2.2, 2001:db8::2  right
 */
import { type AddressFamily, Endpoint, IpAddress } from "../../src/base/address.ts";
import { Sysctl } from "../../src/os/sysctl.ts";
import { Machine } from "./machine.ts";

export class Underlay implements Disposable {
  readonly left: Machine;
  readonly right: Machine;

  constructor() {
    using undo = new DisposableStack();
    this.left = undo.use(new Machine());
    this.right = undo.use(new Machine());
    const far = { host: this.right, name: "eth0", addresses: ["192.0.2.2/24", "2001:db8::2/64"] };
    this.left.cable("eth0", ["192.0.2.1/24", "2001:db8::1/64"], far);
    undo.move();
  }

  [Symbol.dispose](): void {
    this.left[Symbol.dispose]();
    this.right[Symbol.dispose]();
  }
}

/** Where a side of the underlay listens. */
export function endpointOf(side: "left" | "right", family: AddressFamily, port: number): Endpoint {
  const host = side === "left" ? 1 : 2;
  return new Endpoint(IpAddress.parse(family === 4 ? `192.0.2.${host}` : `2001:db8::${host}`), port);
}

/** Whether a host forwards IPv4 and IPv6. */
export function forwardingOf(host: Machine): string {
  return host.namespace.run(() =>
    [Sysctl.get("net/ipv4/ip_forward"), Sysctl.get("net/ipv6/conf/all/forwarding")].join(),
  );
}

/** How many IP packets a host has cut into fragments, or failed to, since it was made. */
export function fragmentsMade(host: Machine): number {
  const v6 = host.proc("net/snmp6");
  const [names, values] = host
    .proc("net/snmp")
    .split("\n")
    .filter((line) => line.startsWith("Ip:"))
    .map((line) => line.split(" "));
  const v4 = (name: string) => Number(values[names.indexOf(name)]);
  const counter = (name: string) => Number(new RegExp(`^${name}\\s+([0-9]+)$`, "m").exec(v6)?.[1]);
  const made = v4("FragCreates") + v4("FragFails") + counter("Ip6FragCreates") + counter("Ip6FragFails");
  if (!Number.isInteger(made)) throw new Error("the kernel's counters of fragments have other names than expected");
  return made;
}
