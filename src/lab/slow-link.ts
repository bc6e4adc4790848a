/**
 * The way from the home to the server as it is in the world, slow, long and lossy, where the lab's cables are none of it:
 * a delay line (`programs/delay-line.ts`) on the internet router, which policy routing leads there, a token bucket where
 * packets leave for the server, and a rule of nf_tables that drops by chance. The way back stays as it is. IPv4 only.
 */
import { Cidr } from "../base/address.ts";
import { InstalledTable } from "../os/nftables.ts";
import { Action, Match } from "../os/nftables-rule.ts";
import { sendSingleSegments, shapeTraffic } from "../os/traffic-shaping.ts";
import { ownProgram } from "./program.ts";
import type { Workbench } from "./workbench.ts";

const delayDevice = "slow";
const delayTable = 100;
const rulePriority = 100;
const patienceMs = 15_000;
const longestFrame = 1514;

export interface SlowLinkOptions {
  readonly delayMs: number;
  readonly bitsPerSecond: number;
  readonly queueBytes: number;
}

export class SlowLink {
  readonly #bench: Workbench;

  private constructor(bench: Workbench) {
    this.#bench = bench;
  }

  static async open(bench: Workbench, { delayMs, bitsPerSecond, queueBytes }: SlowLinkOptions): Promise<SlowLink> {
    const router = bench.host("internet");
    const line = router.start(ownProgram("programs/delay-line", delayDevice, String(delayMs)));
    await line.event("ready", patienceMs);
    const device = router.device(delayDevice);
    router.config.links.set(device, { up: true });
    router.config.routes.add({ destination: Cidr.parse("0.0.0.0/0"), device, table: delayTable });
    router.config.rules.add({ family: 4, table: delayTable, priority: rulePriority, inputInterface: "homes" });
    const bucket = { bitsPerSecond, queueBytes, burstBytes: 2 * longestFrame };
    router.namespace.run(() => shapeTraffic(router.device("hosting"), bucket));
    // Else what is dropped and counted here would be super-packets of up to 64 KiB, which no real cable carries.
    const client = bench.host("client");
    client.namespace.run(() => sendSingleSegments(client.device("eth0")));
    return new SlowLink(bench);
  }

  /** From now until disposal one packet in so many is lost on its way to the server. */
  lose(oneIn: number): Disposable {
    const rule = [...Match.inputInterface(delayDevice), ...Match.oneIn(oneIn), Action.count, Action.drop];
    const layout = {
      name: "loss",
      chains: [{ name: "forward", kind: "filter", hook: "forward", priority: 0, rules: [rule] }],
    } as const;
    return this.#bench.host("internet").namespace.run(() => InstalledTable.install(layout));
  }
}
