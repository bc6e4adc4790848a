import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { Endpoint } from "../../../src/base/address.ts";
import { DatagramPort } from "../../../src/transport/datagram-port.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";

const loopback = { 4: "127.0.0.1:0", 6: "[::1]:0" } as const;
const random = new SeededRandom(3);

/** Lengths in the orders that make and break runs. */
const lengths = [
  ...Array.from({ length: 150 }, () => 1452),
  ...[1452, 900, 1452, 1452, 1453, 32, 32, 32, 1, 9000, 9000, 40_000, 40_000, 65_507, 148],
];

for (const family of [4, 6] as const) {
  test(`datagrams leave whole and in order over IPv${family}, one by one or many in a call`, async () => {
    const received: Buffer[] = [];
    const arrival = new EventTarget();
    using there = await DatagramPort.open({
      local: Endpoint.parse(loopback[family]),
      onDatagram: (bytes) => {
        received.push(Buffer.from(bytes));
        arrival.dispatchEvent(new Event("one"));
      },
    });
    using connected = await DatagramPort.open({
      local: Endpoint.parse(loopback[family]),
      remote: there.local,
      onDatagram: () => {},
    });
    using free = await DatagramPort.open({ local: Endpoint.parse(loopback[family]), onDatagram: () => {} });
    const to = DatagramPort.correspondent(String(there.local.address), there.local.port);
    for (const [port, correspondent] of [
      [connected, undefined],
      [free, to],
    ] as const) {
      received.length = 0;
      const sent = lengths.map((length) => Buffer.from(random.bytes(length)));
      for (const bytes of sent) {
        const buffer = Uint8Array.from(bytes);
        port.send(buffer, correspondent);
        buffer.fill(0); // it has a copy
      }
      while (received.length < sent.length) await once(arrival, "one", { signal: AbortSignal.timeout(5000) });
      assert.deepEqual(
        received.map((bytes) => bytes.length),
        lengths,
      );
      assert.ok(received.every((bytes, i) => bytes.equals(sent[i])));
      assert.equal(port.failures, 0);
    }
  });
}

test("what is for several addresses goes to each its own, and a closed port costs a count", async () => {
  const [one, two] = [createSocket("udp4"), createSocket("udp4")];
  for (const socket of [one, two]) {
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
  }
  using port = await DatagramPort.open({ local: Endpoint.parse(loopback[4]), onDatagram: () => {} });
  const texts: string[][] = [[], []];
  const all = Promise.withResolvers<void>();
  for (const [i, socket] of [one, two].entries()) {
    socket.on("message", (bytes) => {
      texts[i].push(String(bytes));
      if (texts.flat().length === 6) all.resolve();
    });
  }
  const names = [one, two].map((socket) => DatagramPort.correspondent("127.0.0.1", socket.address().port));
  for (const [text, i] of [
    ["a", 0],
    ["b", 0],
    ["c", 1],
    ["d", 0],
    ["e", 1],
    ["f", 1],
  ] as const) {
    port.send(Buffer.from(text), names[i]);
  }
  await all.promise;
  assert.deepEqual(texts, [
    ["a", "b", "d"],
    ["c", "e", "f"],
  ]);
  one.close();
  two.close();
  await once(two, "close");
  using refused = await DatagramPort.open({
    local: Endpoint.parse(loopback[4]),
    remote: new Endpoint(Endpoint.parse("127.0.0.1:0").address, names[0].port),
    onDatagram: () => {},
  });
  refused.send(Buffer.from("x"));
  for (let turns = 0; refused.failures === 0; turns++) {
    assert.ok(turns < 5000, "nobody told that the port is closed");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
});
