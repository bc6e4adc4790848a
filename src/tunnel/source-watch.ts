/**
 * Sees to it that answers do not go on leaving from an address that is ours no more, or over a way that is no more the
 * peer's: when addresses or routes change, each peer's is looked up again, and what has changed is forgotten. Where a
 * peer spoke to is else kept (`Endpoint.local`). The kernel's own WireGuard looks with each packet
 * (drivers/net/wireguard/socket.c, send4).
 */
import { setTimeout } from "node:timers/promises";
import type { Endpoint } from "../base/address.ts";
import { bootTime } from "../os/clock.ts";
import { InterfaceConfig } from "../os/interface-config.ts";
import { watchRoutes } from "../os/route-watch.ts";
import { SystemError } from "../os/system-error.ts";
import type { UdpTransport } from "../transport/udp.ts";
import type { ProtocolDriver } from "./protocol-driver.ts";

/** Changes come in crowds. */
const settleMs = 50;
/** Peers looked at before others have their turn: some milliseconds' worth. */
const peersPerTurn = 64;

export class SourceWatch implements Disposable {
  readonly #driver: ProtocolDriver;
  readonly #transport: UdpTransport;
  readonly #resources: DisposableStack;
  readonly #config: InterfaceConfig;
  /** Whether something has changed since the last look began, and whether one is under way. */
  #isStale = false;
  #isLooking = false;

  /** Watches this thread's network namespace, where the sockets are, until disposed of. */
  constructor(driver: ProtocolDriver, transport: UdpTransport) {
    using opened = new DisposableStack();
    this.#driver = driver;
    this.#transport = transport;
    this.#config = opened.use(InterfaceConfig.open());
    opened.use(
      watchRoutes(() => {
        this.#isStale = true;
        if (!this.#isLooking) void this.#look();
      }),
    );
    this.#resources = opened.move();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  /** Looks until nothing has changed meanwhile. */
  async #look(): Promise<void> {
    const { device } = this.#driver;
    this.#isLooking = true;
    while (this.#isStale) {
      await setTimeout(settleMs, undefined, { ref: false });
      this.#isStale = false;
      for (const [i, { id }] of [...device.peers].entries()) {
        if (i % peersPerTurn === 0) await setTimeout(0, undefined, { ref: false });
        if (this.#resources.disposed) return;
        const peer = device.peerById(id);
        if (peer?.endpoint?.local === undefined || this.#isGood(peer.endpoint)) continue;
        device.forgetLocalAddress(bootTime(), peer);
        this.#driver.settle();
      }
    }
    this.#isLooking = false;
  }

  /** Whether the address is still ours, and the kernel would still take the interface on which it was spoken to. */
  #isGood({ address, local }: Endpoint): boolean {
    try {
      const addresses = this.#config.addresses.list(); // a dump, but small beside the peers it is for
      const isOurs = addresses.some((one) => local?.address.equals(one.address.address));
      return isOurs && this.#config.routes.lookup(address, this.#transport.mark)?.route.device === local?.device;
    } catch (error) {
      if (error instanceof SystemError) return false;
      throw error;
    }
  }
}
