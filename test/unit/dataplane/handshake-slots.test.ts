import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  HandshakeSlots,
  handshakeSlotsSize,
  Slot,
  SlotState,
  slotCount,
} from "../../../src/dataplane/handshake-slots.ts";

test("whatever the turns of main and two threads, each slot is worked on once and comes back in order", () => {
  const act = fc.constantFrom("post", "claim", "finish first", "finish last", "take");
  fc.assert(
    fc.property(fc.array(act, { maxLength: 400 }), (acts) => {
      const shared = new SharedArrayBuffer(handshakeSlotsSize);
      const main = new HandshakeSlots(shared);
      const thread = new HandshakeSlots(shared);
      const view = new DataView(shared);
      let [posted, claimed, taken] = [0, 0, 0];
      const held: number[] = [];
      const finish = (slot: number | undefined) => {
        if (slot !== undefined) thread.finish(slot, SlotState.done);
      };
      for (const act of acts) {
        if (act === "post") {
          const slot = main.free();
          assert.equal(slot < 0, posted - taken === slotCount);
          if (slot < 0) continue;
          view.setUint32(slot + Slot.localIndex, ++posted, true);
          main.post();
        } else if (act === "claim" && claimed < posted) {
          const slot = thread.claim();
          assert.equal(view.getUint32(slot + Slot.localIndex, true), ++claimed);
          held.push(slot);
        } else if (act === "finish first") finish(held.shift());
        else if (act === "finish last") finish(held.pop());
        else if (act === "take") {
          const slot = main.oldest();
          if (slot < 0) continue;
          assert.equal(view.getUint32(slot + Slot.localIndex, true), ++taken);
          main.take();
        }
        assert.equal(main.waiting, posted - taken);
      }
      while (claimed++ < posted) held.push(thread.claim());
      held.forEach(finish);
      for (; main.oldest() >= 0; main.take()) taken++;
      assert.equal(taken, posted);
      main.stop();
      assert.equal(thread.claim(), -1);
    }),
  );
});

test("all slots can be in use, round after round", () => {
  const slots = new HandshakeSlots(new SharedArrayBuffer(handshakeSlotsSize));
  for (let round = 0; round < 3; round++) {
    const places = new Set<number>();
    for (let slot = slots.free(); slot >= 0; slot = slots.free()) {
      places.add(slot);
      assert.ok(slot + Slot.size <= handshakeSlotsSize);
      slots.post();
    }
    assert.equal(places.size, slotCount);
    for (let i = 0; i < slotCount; i++) slots.finish(slots.claim(), SlotState.failed);
    for (; slots.oldest() >= 0; slots.take()) assert.equal(slots.state(slots.oldest()), SlotState.failed);
    assert.equal(slots.waiting, 0);
  }
});
