/**
 * Tells when the interface of a TUN device changes or goes, wherever it is. On the main thread only.
 *
 * An interface may be moved to another network namespace, which the one that it leaves reports like a deletion. The
 * device itself knows better: a deleted one answers EBADFD, one that moved tells its namespace (TUNGETDEVNETNS), and the
 * watch goes on there. To enter it takes CAP_SYS_ADMIN; without, the device is asked once a second for what it knows.
 */
import { InterfaceConfig } from "./interface-config.ts";
import { watchLink } from "./link-watch.ts";
import type { Link } from "./links.ts";
import { SystemError } from "./system-error.ts";
import type { TunDevice } from "./tun-device.ts";

const askEveryMs = 1000;

/** What is so now. Where the watch may not follow, `mtu` is what it last was. */
export type InterfaceState = Pick<Link, "name" | "up" | "mtu">;

export class TunWatch implements Disposable {
  readonly #tun: TunDevice;
  readonly #listener: (state: InterfaceState | undefined) => void;
  #source: Disposable | undefined;
  #state: InterfaceState | undefined;

  /**
   * Watches a device whose interface is in this thread's network namespace until disposed of. `listener` is told what
   * differs from `state`; `undefined` says that the interface is deleted, and nothing follows.
   */
  constructor(tun: TunDevice, listener: (state: InterfaceState | undefined) => void) {
    this.#tun = tun;
    this.#listener = listener;
    this.#state = this.#follow();
  }

  /** What is so, as far as the listener was told; undefined once the interface is deleted. */
  get state(): InterfaceState | undefined {
    return this.#state;
  }

  [Symbol.dispose](): void {
    this.#source?.[Symbol.dispose]();
  }

  /** Watches in this thread's network namespace from now on. */
  #follow(): InterfaceState | undefined {
    using config = InterfaceConfig.open();
    const index = config.links.find(this.#tun.currentName ?? "")?.index ?? 0;
    const watch = watchLink(index, (event) => {
      if (event.kind === "changed") this.#tell(event.link);
      else this.#relocate();
    });
    this.#source = watch;
    return watch.link;
  }

  /** The interface is no longer where it was. */
  #relocate(): void {
    this.#source?.[Symbol.dispose]();
    this.#tell(this.#find() ?? this.#ask());
  }

  /** Finds the interface in its namespace and watches it there; `undefined` where that cannot be. */
  #find(): InterfaceState | undefined {
    try {
      using namespace = this.#tun.namespace();
      return namespace?.run(() => this.#follow());
    } catch (error) {
      if (error instanceof SystemError) return undefined;
      throw error;
    }
  }

  /** Goes by what the device says, and tries again before long: it may come back to where it can be watched. */
  #ask(): InterfaceState | undefined {
    this.#source?.[Symbol.dispose]();
    const timer = setTimeout(() => this.#relocate(), askEveryMs).unref();
    this.#source = { [Symbol.dispose]: () => clearTimeout(timer) };
    return this.#known();
  }

  /** What the device says of its interface. */
  #known(): InterfaceState | undefined {
    const name = this.#tun.currentName;
    return name === undefined ? undefined : { name, up: this.#tun.isUp, mtu: this.#state?.mtu ?? 0 };
  }

  #tell(state: InterfaceState | undefined): void {
    const former = this.#state;
    if (former === undefined) return;
    this.#state = state && { name: state.name, up: state.up, mtu: state.mtu };
    if (state === undefined) this[Symbol.dispose]();
    else if (state.name === former.name && state.up === former.up && state.mtu === former.mtu) return;
    this.#listener(this.#state);
  }
}
