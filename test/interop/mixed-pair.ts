/**
 * A tunnel from `warren up`, a process with an environment of its own, to one in this process:
 *
 *     left  10.9.0.1, fd09::1 ====== 10.9.0.2, fd09::2  right
 */
import { randomBytes } from "node:crypto";
import { Cidr } from "../../src/base/address.ts";
import { PrivateKey } from "../../src/base/keys.ts";
import { hostSetup } from "../../src/tunnel/host-setup.ts";
import type { Tunnel } from "../../src/tunnel/tunnel.ts";
import { publicKeyOf } from "./tunnel-pair.ts";
import { openInside, within } from "./two-tunnels.ts";
import { endpointOf, Underlay } from "./underlay.ts";
import { WarrenProcess } from "./warren-process.ts";

const port = 5902;

export class MixedPair implements AsyncDisposable {
  readonly underlay: Underlay;
  readonly left: WarrenProcess;
  readonly right: Tunnel;

  static async open(environment: Readonly<Record<string, string>>): Promise<MixedPair> {
    await using undo = new AsyncDisposableStack();
    const underlay = undo.use(new Underlay());
    const keys = { left: new PrivateKey(randomBytes(32)), right: new PrivateKey(randomBytes(32)) };
    const right = await openInside(underlay.right, () => ({
      name: "wg0",
      privateKey: keys.right,
      listenPort: port,
      setUp: hostSetup({ addresses: [Cidr.parse(`${within.right[4]}/24`), Cidr.parse(`${within.right[6]}/64`)] }),
      peers: [
        {
          publicKey: publicKeyOf(keys.left),
          allowedIps: [Cidr.parse(within.left[4]), Cidr.parse(within.left[6])],
        },
      ],
    }));
    undo.use(right);
    const config = [
      "[Interface]",
      `PrivateKey = ${keys.left.reveal()}`,
      `Address = ${within.left[4]}/24, ${within.left[6]}/64`,
      "[Peer]",
      `PublicKey = ${publicKeyOf(keys.right)}`,
      `AllowedIPs = ${within.right[4]}/32, ${within.right[6]}/128`,
      `Endpoint = ${endpointOf("right", 4, port)}`,
    ].join("\n");
    const left = await WarrenProcess.start(underlay.left, "wg0", config, { ownSockets: true, environment });
    undo.move();
    return new MixedPair(underlay, left, right);
  }

  private constructor(underlay: Underlay, left: WarrenProcess, right: Tunnel) {
    this.underlay = underlay;
    this.left = left;
    this.right = right;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.right.close();
    this.underlay[Symbol.dispose]();
  }
}
