import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../../src/base/address.ts";
import { concatBytes } from "../../../src/base/bytes.ts";
import { native } from "../../../src/crypto/native.ts";
import { encodeEndpoint } from "../../../src/dataplane/endpoint-record.ts";
import { PeerRecord } from "../../../src/dataplane/shared-memory.ts";
import type { Keypair } from "../../../src/wireguard/keypair.ts";
import { Data, writeCounter, writeUint32 } from "../../../src/wireguard/messages.ts";
import { nonceOf, Workbench } from "./workbench.ts";

/** A keepalive, sealed as the peer would. */
function seal(keypair: Keypair, counter: number): Uint8Array {
  const header = new Uint8Array(16);
  writeUint32(header, 0, Data.type);
  writeUint32(header, Data.receiver, keypair.localIndex);
  writeCounter(header, Data.counter, counter);
  const nothing = new Uint8Array(0);
  return concatBytes(header, native.seal(keypair.receiveKey, nonceOf(counter), nothing, nothing));
}

test("a peer that is held stays where it is, whoever its messages come from", () => {
  using bed = new Workbench(1420);
  const id = bed.peers.add();
  const keypair = bed.addKeypair(id);
  const home = encodeEndpoint(Endpoint.parse("192.0.2.1:1"));
  const at = () => bed.memory.bytes.slice(bed.memory.peer(id) + PeerRecord.endpointLength, bed.memory.peer(id) + 40);
  bed.peers.setEndpoint(id, home);
  const before = at();
  for (const [counter, hold] of (["all", "network"] as const).entries()) {
    bed.peers.hold(id, hold); // the workbench's remote is on loopback, where streams hand over
    bed.toNetwork(seal(keypair, counter));
    bed.receive();
    assert.equal(bed.memory.inboundToMain.next(), false, hold);
    assert.deepEqual(at(), before, hold);
  }
  bed.peers.hold(id, "none");
  bed.toNetwork(seal(keypair, 2));
  bed.receive();
  assert.ok(bed.memory.inboundToMain.next());
  assert.notDeepEqual(at(), before);
});
