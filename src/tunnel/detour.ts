/**
 * Keeps one host reachable the way it is now, although a tunnel takes the routes that lead to it: a route to that host
 * alone, which wins because it is the longest prefix there is. Unlike the tunnel's own routes it does not go with the
 * interface, so it is taken away on disposal and when the process exits.
 */
import { Cidr, type IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { InterfaceConfig } from "../os/interface-config.ts";
import type { Route } from "../os/routes.ts";
import { Errno, SystemError } from "../os/system-error.ts";

export class Detour implements Disposable {
  readonly #config: InterfaceConfig;
  readonly #route: Route;
  readonly #onExit = () => this.#config.routes.remove(this.#route);

  private constructor(config: InterfaceConfig, route: Route) {
    this.#config = config;
    this.#route = route;
    process.on("exit", this.#onExit);
  }

  /**
   * Pins the present way to `host`, in this thread's network namespace; `undefined` where nothing need be done, since it
   * is this machine or has such a route already. Throws `not-available` where there is no way to it.
   */
  static open(host: IpAddress): Detour | undefined {
    using undo = new DisposableStack();
    const config = undo.use(InterfaceConfig.open());
    const choice = config.routes.lookup(host);
    if (choice === undefined) {
      throw new VpnError("not-available", `there is no route to ${host}`, { remedy: "check this machine's network" });
    }
    const { kind, via, device } = choice.route;
    if (kind !== "unicast") return undefined;
    const route: Route = { destination: new Cidr(host, host.bits), via, device };
    try {
      config.routes.add(route);
    } catch (error) {
      if (error instanceof SystemError && error.errno === Errno.EEXIST) return undefined;
      throw error;
    }
    undo.move();
    return new Detour(config, route);
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#onExit);
    this.#config.routes.remove(this.#route);
    this.#config[Symbol.dispose]();
  }
}
