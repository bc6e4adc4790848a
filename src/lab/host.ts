/**
 * One host of the lab: a network namespace, a /run of its own, the configuration of its network, and the programs that
 * run on it.
 */
import { VpnError } from "../base/errors.ts";
import { InterfaceConfig } from "../os/interface-config.ts";
import { MountNamespace, mountMemory } from "../os/mount-namespace.ts";
import { NetworkNamespace } from "../os/namespace.ts";
import { Sysctl } from "../os/sysctl.ts";
import { Capture } from "./capture.ts";
import { Program } from "./program.ts";
import type { HostPlan } from "./topology.ts";

export class Host implements Disposable {
  readonly name: string;
  readonly namespace: NetworkNamespace;
  readonly config: InterfaceConfig;
  /** What its programs see of the files: the machine's, but for /run, where control sockets and journals lie. */
  readonly files: MountNamespace;

  constructor(plan: HostPlan) {
    this.name = plan.name;
    this.namespace = NetworkNamespace.create();
    this.config = this.namespace.run(() => InterfaceConfig.open());
    this.files = MountNamespace.create();
    this.files.run(() => mountMemory("/run"));
    this.#normalise(plan);
  }

  /** The index of an interface by its name. Throws `not-available`. */
  device(name: string): number {
    const link = this.config.links.find(name);
    if (link === undefined) throw new VpnError("not-available", `the host ${this.name} has no interface ${name}`);
    return link.index;
  }

  getSysctl(parameter: string): string {
    return this.namespace.run(() => Sysctl.get(parameter));
  }

  setSysctl(parameter: string, value: string | number): void {
    this.namespace.run(() => Sysctl.set(parameter, value));
  }

  setForwarding(on: boolean): void {
    this.setSysctl("net/ipv4/ip_forward", on ? 1 : 0);
    this.setSysctl("net/ipv6/conf/all/forwarding", on ? 1 : 0);
  }

  start(command: readonly string[], input?: string): Program {
    return Program.start((spawn) => this.inside(spawn), command, input);
  }

  /** Runs one synchronous action where the programs of this host are. */
  inside<T>(action: () => T): T {
    return this.files.run(() => this.namespace.run(action));
  }

  capture(deviceName: string): Capture {
    const device = this.device(deviceName);
    return this.namespace.run(() => new Capture(device));
  }

  [Symbol.dispose](): void {
    this.config[Symbol.dispose]();
    this.files[Symbol.dispose]();
    this.namespace[Symbol.dispose]();
  }

  /**
   * A new namespace inherits IPv4's parameters from the machine (net.core.devconf_inherit_init_net), where Docker turns
   * forwarding on and distributions turn the reverse path filter on: the lab says what it wants.
   *
   * Duplicate address detection is off (RFC 4862 §5.4 allows that): for the second or two that it takes, a router has no
   * link-local address to send neighbour solicitations from, and what it should forward is lost. An interface has it
   * unless both its own parameter, inherited from `default`, and that of `all` are 0 (net/ipv6/addrconf.c).
   */
  #normalise(plan: HostPlan): void {
    for (const scope of ["all", "default"]) {
      this.setSysctl(`net/ipv4/conf/${scope}/rp_filter`, 0);
      this.setSysctl(`net/ipv6/conf/${scope}/disable_ipv6`, 0);
      this.setSysctl(`net/ipv6/conf/${scope}/accept_dad`, 0);
    }
    this.setForwarding(plan.router);
    this.setSysctl("net/ipv4/ping_group_range", "0\t0"); // lets the built-in ping open its socket
    this.config.links.set(this.device("lo"), { up: true });
  }
}
