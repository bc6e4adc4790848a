/** Traffic shaping as the programs that are usually asked for it see it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { Cidr } from "../../src/base/address.ts";
import { InterfaceConfig } from "../../src/os/interface-config.ts";
import { NetworkNamespace } from "../../src/os/namespace.ts";
import { sendSingleSegments, shapeTraffic } from "../../src/os/traffic-shaping.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";

const bucket = { bitsPerSecond: 20_000_000, queueBytes: 50_000, burstBytes: 3_000 };

test("tc sees the token bucket, a second one takes the place of the first, and ip sees single segments", (t) => {
  if (!requireNamespaces(t)) return;
  const [tc, ip] = [requireProgram(t, "tc", "iproute2"), requireProgram(t, "ip", "iproute2")];
  if (tc === undefined || ip === undefined) return;
  using namespace = NetworkNamespace.create();
  namespace.run(() => {
    using config = InterfaceConfig.open();
    config.links.createVeth({ name: "near", peerName: "far" });
    const index = config.links.find("near")?.index ?? assert.fail("no interface");
    const shown = () => run(tc, "qdisc", "show", "dev", "near");
    shapeTraffic(index, bucket);
    assert.match(shown(), /^qdisc tbf \S+ root refcnt \d+ rate 20Mbit burst 3000b /);
    shapeTraffic(index, { ...bucket, bitsPerSecond: 1_000_000 });
    assert.match(shown(), /^qdisc tbf \S+ root refcnt \d+ rate 1Mbit burst 3000b /);
    sendSingleSegments(index);
    assert.match(run(ip, "-d", "link", "show", "near"), / gso_max_segs 1 /);
  });
});

test("a rule that asks where a packet came in is what ip shows", (t) => {
  if (!requireNamespaces(t)) return;
  const ip = requireProgram(t, "ip", "iproute2");
  if (ip === undefined) return;
  using namespace = NetworkNamespace.create();
  namespace.run(() => {
    using config = InterfaceConfig.open();
    const rule = {
      family: 4,
      table: 100,
      priority: 50,
      inputInterface: "homes",
      to: Cidr.parse("10.0.0.0/8"),
    } as const;
    config.rules.add(rule);
    assert.match(run(ip, "rule", "show"), /^50:\s+from all to 10\.0\.0\.0\/8 iif homes \[detached\] lookup 100/m);
    assert.ok(config.rules.remove(rule));
    assert.ok(!run(ip, "rule", "show").includes("homes"));
  });
});

test("an interface that there is not is an error that names it", (t) => {
  if (!requireNamespaces(t)) return;
  using namespace = NetworkNamespace.create();
  assert.throws(() => namespace.run(() => shapeTraffic(99, bucket)), /tbf on interface 99/);
});

function run(program: string, ...parameters: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, parameters, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout;
}
