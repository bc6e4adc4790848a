/**
 * Two warren-wg that know each other by `wg set`, as wireguard-go's own tests set theirs up:
 *
 *     first   192.168.241.1, fd00::1  port 10000  ====  port 20000  192.168.241.2, fd00::2   second
 *
 * Neither has an endpoint yet. Their interfaces may lie in other hosts than the processes, with the sockets left behind.
 */

import type { Machine } from "./machine.ts";
import { ping } from "./ping.ts";
import { keyPair, UserspaceWireguard } from "./userspace-wireguard.ts";

export const insideOf = { first: ["192.168.241.1", "fd00::1"], second: ["192.168.241.2", "fd00::2"] } as const;
export const ports = { first: 10_000, second: 20_000 } as const;
const keys = { first: keyPair(0x11), second: keyPair(0x22) };
const presharedKey = keyPair(0x33).secret;

export type End = "first" | "second";

export class WarrenWgPair implements Disposable {
  readonly first: UserspaceWireguard;
  readonly second: UserspaceWireguard;
  /** Where the interfaces are. */
  readonly hosts: { readonly first: Machine; readonly second: Machine };

  /** `processes` are the hosts that the programs run in, where they are not those of the interfaces. */
  static async open(hosts: WarrenWgPair["hosts"], processes: WarrenWgPair["hosts"] = hosts): Promise<WarrenWgPair> {
    using undo = new DisposableStack();
    const first = undo.use(await UserspaceWireguard.start(processes.first));
    const second = undo.use(await UserspaceWireguard.start(processes.second));
    const pair = new WarrenWgPair(first, second, hosts);
    for (const end of ["first", "second"] as const) await pair.#configure(end, processes[end]);
    undo.move();
    return pair;
  }

  private constructor(first: UserspaceWireguard, second: UserspaceWireguard, hosts: WarrenWgPair["hosts"]) {
    this.first = first;
    this.second = second;
    this.hosts = hosts;
  }

  async #configure(end: End, process: Machine): Promise<void> {
    const other = end === "first" ? "second" : "first";
    const { name } = this[end];
    const host = this.hosts[end];
    if (host !== process) process.config.links.set(process.indexOf(name), { namespace: host.namespace.fd });
    await this[end].set(["private-key", "/dev/stdin", "listen-port", String(ports[end])], keys[end].secret);
    const allowed = insideOf[other].map((address) => `${address}/${address.includes(":") ? 128 : 32}`).join();
    await this[end].set(
      ["peer", keys[other].public, "preshared-key", "/dev/stdin", "allowed-ips", allowed],
      presharedKey,
    );
    host.setUp(name, `${insideOf[end][0]}/24`, `${insideOf[end][1]}/64`);
  }

  /** Changes what one end knows of the other: `endpoint`, `allowed-ips`, `persistent-keepalive`. */
  async setPeer(end: End, ...words: readonly string[]): Promise<void> {
    await this[end].set(["peer", keys[end === "first" ? "second" : "first"].public, ...words]);
  }

  /** Where an end sends to, as it says itself. */
  async endpointAt(end: End): Promise<string> {
    return (await this[end].show("endpoints")).trim().split("\t")[1];
  }

  setMtu(mtu: number): void {
    for (const end of ["first", "second"] as const) {
      const host = this.hosts[end];
      host.config.links.set(host.indexOf(this[end].name), { mtu });
    }
  }

  /** Pings the other end by one family, and throws, with what `ping` said, where no answer comes. */
  async reach(from: End, family: 4 | 6): Promise<void> {
    const address = insideOf[from === "first" ? "second" : "first"][family === 4 ? 0 : 1];
    const { received, output } = await ping(this.hosts[from], address);
    if (received !== 1) throw new Error(`no answer: ${output}`);
  }

  /** Whether a ping of the other end is answered. */
  async reaches(from: End, family: 4 | 6): Promise<boolean> {
    const address = insideOf[from === "first" ? "second" : "first"][family === 4 ? 0 : 1];
    return (await ping(this.hosts[from], address, { patienceSeconds: 1 })).received === 1;
  }

  [Symbol.dispose](): void {
    this.first[Symbol.dispose]();
    this.second[Symbol.dispose]();
  }
}
