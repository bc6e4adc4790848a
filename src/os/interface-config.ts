/**
 * The network configuration of one namespace: links, addresses, routes and policy rules, changed through rtnetlink and
 * not by running `ip`: typed errors, no quoting, nothing to install.
 *
 * It belongs to the namespace it was opened in and may be used from anywhere afterwards, so only `open` has to be called
 * inside (`namespace.run(InterfaceConfig.open)`). Every call is synchronous, takes some tens of microseconds, and throws a
 * `SystemError` that says what the kernel refused. Removing what is not there is not an error but returns false, so that
 * cleaning up twice is harmless.
 */
import { Addresses } from "./addresses.ts";
import { Links } from "./links.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./netlink.ts";
import { Routes } from "./routes.ts";
import { Rules } from "./rules.ts";

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

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
