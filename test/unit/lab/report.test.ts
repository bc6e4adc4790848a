import assert from "node:assert/strict";
import { test } from "node:test";
import type { LabRecord, StepRecord } from "../../../src/lab/record.ts";
import { Report } from "../../../src/lab/report.ts";
import { wireguardStage as stage } from "../../../src/lab/stages/wireguard.ts";
import { topology } from "../../../src/lab/topology.ts";

const route: StepRecord = {
  name: "route",
  ok: true,
  milliseconds: 3.2,
  detail: {
    routes: [
      { destination: "default", via: "192.168.1.1", device: "eth0", chosenFor: null },
      { destination: "8.8.8.8/32", via: null, device: "wg0", chosenFor: "8.8.8.8" },
    ],
  },
};
const failed: StepRecord = {
  name: "nat",
  ok: false,
  milliseconds: 12,
  expected: "the server's address",
  seen: "it was 10.8.0.2",
};

function record(steps: readonly StepRecord[]): LabRecord {
  const ok = steps.every((step) => step.ok);
  return { stage: "wireguard", ok, milliseconds: 3456, privilege: "user", broken: null, topology, steps };
}

test("the routing table has a line per route, and the chosen one is marked", () => {
  const lines = new Report(stage, false).step(route).split("\n");
  assert.equal(lines.length, 3);
  assert.match(lines[0], /^✓ route +3 ms {2}/);
  assert.match(lines[1], /default +via 192\.168\.1\.1 +dev eth0$/);
  assert.match(lines[2], /8\.8\.8\.8\/32 +dev wg0 +◀ chosen$/);
});

test("a failed step says what was expected and what was seen", () => {
  const text = new Report(stage, false).step(failed);
  assert.match(text, /^✗ nat .*expected the server's address\n.*but it was 10\.8\.0\.2$/);
});

test("the eavesdropper's account shows what it saw of the message and that the plaintext is not in it", () => {
  const message = { kind: "data", type: 4, bytes: 128, receiver: 0xabc, counter: 7, ciphertext: "0011223344" };
  const secrets = [{ what: "the name x.example", seenByEavesdropper: 0, seenInTunnel: 4 }];
  const step: StepRecord = {
    name: "eavesdropper",
    ok: true,
    milliseconds: 1,
    detail: { packets: 9, bytes: 900, message, secrets },
  };
  const text = new Report(stage, false).step(step);
  assert.match(text, /9 packets, 900 bytes/);
  assert.match(text, /type 4 \(data\), receiver 0x00000abc, counter 7, 128 bytes/);
  assert.match(text, /0011 2233 44 …/);
  assert.match(text, /the name x\.example +0 +4$/m);
});

test("the verdict names the first step that failed, or that there is none", () => {
  const report = new Report(stage, false);
  assert.match(report.verdict(record([route])), /Every step was verified, in 3\.5 s, as an ordinary user/);
  assert.match(report.verdict(record([route, failed])), /The step nat failed, after 3\.5 s/);
});

test("there are escape sequences with colours, and none without", () => {
  const all = (report: Report) =>
    [report.head(), report.step(route), report.step(failed), report.verdict(record([route]))].join();
  assert(all(new Report(stage, true)).includes("\u001b["));
  assert(!all(new Report(stage, false)).includes("\u001b"));
});
