/**
 * The network configuration of one namespace: links, addresses, routes and policy rules, changed through rtnetlink and
 * not by running `ip`: typed errors, no quoting, nothing to install.
 *
 * It belongs to the namespace it was opened in and may be used from anywhere afterwards, so only `open` has to be called
 * inside (`namespace.run(InterfaceConfig.open)`). Every call is synchronous, takes some tens of microseconds, and throws a
 * `SystemError` that says what the kernel refused. Removing what is not there is not an error but returns false, so that
 * cleaning up twice is harmless.
 */
import { Addresses, type InterfaceAddress } from "./addresses.ts";
import { Links } from "./links.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./netlink.ts";
import { localTable, Routes } from "./routes.ts";
import { Rules } from "./rules.ts";

const pause = new Int32Array(new SharedArrayBuffer(4));

export class InterfaceConfig implements Disposable {
  readonly links: Links;
  readonly addresses: Addresses;
  readonly routes: Routes;
  readonly rules: Rules;
  readonly #socket: NetlinkSocket;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
    this.links = new Links(socket);
    this.addresses = new Addresses(socket);
    this.routes = new Routes(socket);
    this.rules = new Rules(socket);
  }

  static open(): InterfaceConfig {
    return new InterfaceConfig(NetlinkSocket.open(NETLINK_ROUTE));
  }

  /**
   * Waits until what an interface that is up sends leaves, and what is sent to its IPv6 addresses arrives; returns whether
   * they do, after `patienceMs` at most. Addresses still looked for on the link are not waited for, nor is a carrier.
   * The kernel sends from them at once, but the route that lets the answers in is made by a work queue
   * (net/ipv6/addrconf.c, addrconf_dad_work), milliseconds later or more where the machine is busy: until then it drops them.
   */
  settle(device: number, patienceMs = 1000): boolean {
    const deadline = performance.now() + patienceMs;
    const isUsed = ({ address, tentative }: InterfaceAddress) => address.address.family === 6 && !tentative;
    while (this.links.isStarting(device)) {
      if (performance.now() > deadline) return false;
      Atomics.wait(pause, 0, 0, 1);
    }
    const pending = this.addresses.list(device).filter(isUsed);
    for (let found = pending.pop(); found !== undefined; found = pending.pop()) {
      while (this.routes.lookup(found.address.address)?.route.table !== localTable) {
        if (performance.now() > deadline) return false;
        Atomics.wait(pause, 0, 0, 1);
      }
    }
    return true;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
