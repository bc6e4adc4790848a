import assert from "node:assert/strict";
import { test } from "node:test";
import { traceAccounts } from "../../../src/lab/trace-account.ts";
import { Trail } from "../../../src/lab/trace-trail.ts";
import { describeChange } from "../../../src/packet/difference.ts";
import { Ipv4, Protocol } from "../../../src/packet/ip.ts";
import { ascii, ipv4Packet } from "./lab-packets.ts";

const message = Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 1, ...ascii("payload"));
const packet = ipv4Packet(Protocol.icmp, message);
const later = packet.slice();
later[Ipv4.timeToLive] = 63;

function trail(): Trail {
  const made = new Trail();
  const sent = made.add({
    seed: [1],
    host: "client",
    place: "application",
    sighting: { bytes: message, start: "ICMP" },
  });
  const out = { host: "client", device: "wg0", direction: "out" } as const;
  const queue = made.add({ seed: [2, 4], ...out, place: "TUN queue", sighting: { bytes: packet }, since: sent });
  made.add({
    seed: [7],
    host: "home",
    device: "lan",
    direction: "in",
    place: "inside",
    sighting: { bytes: packet },
    since: queue,
  });
  made.add({
    seed: [7],
    host: "home",
    device: "wan",
    direction: "out",
    place: "outside",
    sighting: { bytes: later },
    since: 3,
  });
  return made;
}

test("points are numbered, and compared with the one they came from", () => {
  const points = trail().pointsFrom(1);
  assert.deepEqual(
    points.map(({ step, since }) => [step, since]),
    [
      [1, null],
      [2, 1],
      [3, 2],
      [4, 3],
    ],
  );
  const changes = points.map(({ changes: found }) => found.map(describeChange));
  assert.deepEqual(changes.slice(0, 3), [[], ["IPv4 header of 20 bytes added"], []]);
  assert.equal(changes[3][0], "IPv4 time to live 64 → 63");
});

test("the account shows bytes once, and then what is not as it was", () => {
  const { summary, evidence = [] } = traceAccounts.request({ points: trail().pointsFrom(1) });
  assert.match(summary, /4 places$/);
  const at = (start: string) => evidence.findIndex((line) => line.startsWith(start));
  assert.equal(evidence[at(" 1  ")], " 1  client: application, 15 bytes  (step 1)");
  assert.match(evidence[at(" 1  ") + 1], /^ {4}0000 {2}0800 0000 0000 0001 7061 796c 6f61 64$/);
  assert.match(evidence[at(" 2  ") + 2], /and its payload of 7 bytes as at 1$/);
  assert.equal(evidence[at(" 3  ") + 1], "    the same bytes as at 2");
  assert.match(evidence.slice(at(" 4  ")).join("\n"), /^ {4}IPv4 time to live 64 → 63$/m);
});
