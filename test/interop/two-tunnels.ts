/**
 * A tunnel between the two hosts of an underlay, both ends of which run in this process and can be changed under way:
 *
 *     left  10.9.0.1, fd09::1 ====== 10.9.0.2, fd09::2  right
 *
 * Only the left is told where the right is.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { Cidr } from "../../src/base/address.ts";
import { PrivateKey, type PublicKey } from "../../src/base/keys.ts";
import { hostSetup } from "../../src/tunnel/host-setup.ts";
import { Tunnel, type TunnelOptions } from "../../src/tunnel/tunnel.ts";
import type { Machine } from "./machine.ts";
import { ping } from "./ping.ts";
import { publicKeyOf } from "./tunnel-pair.ts";
import { endpointOf, Underlay } from "./underlay.ts";

export type Side = "left" | "right";
export const within = { left: { 4: "10.9.0.1", 6: "fd09::1" }, right: { 4: "10.9.0.2", 6: "fd09::2" } } as const;
const ports = { left: 5901, right: 5902 } as const;
export const interfaceName = "wg0";

export class TwoTunnels implements AsyncDisposable {
  readonly underlay: Underlay;
  readonly left: Tunnel;
  readonly right: Tunnel;
  readonly keys: Readonly<Record<Side, PrivateKey>>;

  /** `change` adds to, or replaces, what each side is opened with; it is called in that side's namespace. */
  static async open(change: (side: Side) => Partial<TunnelOptions> = () => ({})): Promise<TwoTunnels> {
    await using undo = new AsyncDisposableStack();
    const underlay = undo.use(new Underlay());
    const keys = { left: new PrivateKey(randomBytes(32)), right: new PrivateKey(randomBytes(32)) };
    const options = (side: Side, other: Side): TunnelOptions => ({
      name: interfaceName,
      privateKey: keys[side],
      listenPort: ports[side],
      setUp: hostSetup({ addresses: [Cidr.parse(`${within[side][4]}/24`), Cidr.parse(`${within[side][6]}/64`)] }),
      peers: [
        {
          publicKey: publicKeyOf(keys[other]),
          allowedIps: [Cidr.parse(within[other][4]), Cidr.parse(within[other][6])],
          ...(side === "left" ? { endpoint: endpointOf(other, 4, ports[other]) } : {}),
        },
      ],
      ...change(side),
    });
    const left = undo.use(await openInside(underlay.left, () => options("left", "right")));
    const right = undo.use(await openInside(underlay.right, () => options("right", "left")));
    undo.move();
    return new TwoTunnels(underlay, left, right, keys);
  }

  private constructor(underlay: Underlay, left: Tunnel, right: Tunnel, keys: TwoTunnels["keys"]) {
    this.underlay = underlay;
    this.left = left;
    this.right = right;
    this.keys = keys;
  }

  keyOf(side: Side): PublicKey {
    return publicKeyOf(this.keys[side]);
  }

  /** Asserts that a ping from one side to the other has an answer. */
  async answers(from: Side, family: 4 | 6 = 4): Promise<void> {
    const { received, output } = await ping(this.underlay[from], within[from === "left" ? "right" : "left"][family]);
    assert.equal(received, 1, output);
  }

  /** Asserts that a ping from one side to the other has none for a third of a second. */
  async isSilent(from: Side): Promise<void> {
    const { received, output } = await ping(this.underlay[from], within[from === "left" ? "right" : "left"][4], {
      patienceSeconds: 0.3,
    });
    assert.equal(received, 0, output);
  }

  /** When the two last completed a handshake, by the clock of one side. */
  lastHandshakeAt(side: Side): number {
    return this[side].status().peers[0]?.lastHandshakeAt ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.left.close();
    await this.right.close();
    this.underlay[Symbol.dispose]();
  }
}

/** Opens a tunnel whose interface and sockets are a host's; `options` is called there. */
export async function openInside(host: Machine, options: () => TunnelOptions): Promise<Tunnel> {
  let opening: Promise<Tunnel> | undefined;
  host.namespace.run(() => {
    opening = Tunnel.open(options()); // what belongs to the namespace is made before its first await
  });
  return (await opening) ?? assert.fail("not reached");
}

/** Waits for what comes about by itself, such as what main is told by a worker or by the kernel. Throws after 15 seconds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  for (const begun = performance.now(); !condition(); await setTimeout(5)) {
    if (performance.now() - begun > 15_000) throw new Error(`it did not come about: ${what}`);
  }
}
