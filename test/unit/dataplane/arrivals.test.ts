import assert from "node:assert/strict";
import { test } from "node:test";
import { ArrivalGauge } from "../../../src/dataplane/arrivals.ts";
import { KeypairRecord, PeerRecord } from "../../../src/dataplane/shared-memory.ts";
import { acceptCounter } from "../../../src/wireguard/replay-window.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { Workbench } from "./workbench.ts";

test("what is missing among a peer's messages is counted, what is only late is not", () => {
  using bed = new Workbench(1420);
  const id = bed.peers.add();
  bed.addKeypair(id);
  const { words } = bed.memory;
  const slot = 1;
  words[(bed.memory.peer(id) + PeerRecord.sendingKeypair) >> 2] = slot;
  const window = (bed.memory.keypair(slot - 1) + KeypairRecord.replayWindow) >> 2;
  const gauge = new ArrivalGauge(bed.memory, id);
  const random = new SeededRandom(3);
  let next = 0;
  const send = (count: number, loss: number): number => {
    let lost = 0;
    for (let i = 0; i < count; i++, next++) {
      if (random.fraction() < loss) lost++;
      else acceptCounter(words, window, next);
    }
    return lost;
  };
  send(1000, 0);
  gauge.take();
  const lost = send(1000, 0.2);
  acceptCounter(words, window, next + 63); // what is on its way still is not missed
  const { arrived, missing } = gauge.take();
  assert.equal(arrived + missing, 1000 + 64, "with those that were too young to tell before");
  assert.ok(Math.abs(missing - lost) <= 30, `${missing} of ${lost}`);
  assert.deepEqual(gauge.take(), { arrived: 0, missing: 0 });
  next += 64;
  send(50_000, 0.5);
  const most = gauge.take();
  assert.ok(most.arrived + most.missing <= 8192, "no more than the window covers");
  assert.ok(Math.abs(most.missing / (most.arrived + most.missing) - 0.5) < 0.05);
});
