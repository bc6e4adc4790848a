import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr } from "../../../src/base/address.ts";
import { concatBytes } from "../../../src/base/bytes.ts";
import { native } from "../../../src/crypto/native.ts";
import { encodeEndpoint } from "../../../src/dataplane/endpoint-record.ts";
import type { Keypair } from "../../../src/wireguard/keypair.ts";
import { Data, writeCounter, writeUint32 } from "../../../src/wireguard/messages.ts";
import { makePacket } from "../../reference/packets.ts";
import { nonceOf, Workbench } from "./workbench.ts";

const payload = new Uint8Array(104); // 144 bytes as a packet, which needs no padding
const packets = [0, 1, 2].map((i) => makePacket({ payload, sequence: 5000 + payload.length * i }));

function bench(): { bench: Workbench; keypair: Keypair } {
  const bench = new Workbench();
  const id = bench.peers.add();
  bench.peers.setEndpoint(id, encodeEndpoint(bench.remote));
  bench.allowedIps.insert(Cidr.parse("10.8.0.0/24"), id);
  return { bench, keypair: bench.addKeypair(id) };
}

function seal(keypair: Keypair, counter: number, packet: Uint8Array): Uint8Array {
  const header = new Uint8Array(16);
  writeUint32(header, 0, Data.type);
  writeUint32(header, Data.receiver, keypair.localIndex);
  writeCounter(header, Data.counter, counter);
  return concatBytes(header, native.seal(keypair.receiveKey, nonceOf(counter), packet, new Uint8Array(0)));
}

for (const [name, isWoken, calls] of [
  ["after a wake-up the first goes at once, and the others", true, 2],
  ["where work goes on all go", false, 1],
] as const) {
  test(`${name} together, to the network`, () => {
    const { bench: bed } = bench();
    using _bed = bed;
    for (const packet of packets) bed.toDevice(packet);
    assert.equal(bed.outbound.batch(isWoken), false);
    assert.equal(bed.batch.calls, calls);
    assert.equal(bed.fromNetwork().length, packets.length);
  });

  test(`${name} together, to the device`, () => {
    const { bench: bed, keypair } = bench();
    using _bed = bed;
    for (const [i, packet] of packets.entries()) bed.toNetwork(seal(keypair, i, packet));
    bed.receive(isWoken);
    assert.equal(bed.fromDevice().length, calls);
  });
}
