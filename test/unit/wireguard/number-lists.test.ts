import assert from "node:assert/strict";
import { test } from "node:test";
import { NumberLists } from "../../../src/wireguard/number-lists.ts";

test("members keep the order in which they came, through removals at either end and in between", () => {
  const lists = new NumberLists();
  const members = (list: number) => [...lists.members(list)];
  for (const member of [5, 0, 70_000, 3, 9]) lists.append(1, member);
  lists.append(200, 4);
  assert.deepEqual([members(1), members(200), members(0), members(9999)], [[5, 0, 70_000, 3, 9], [4], [], []]);
  for (const member of [5, 9, 70_000]) lists.remove(1, member);
  assert.deepEqual(members(1), [0, 3]);
  lists.append(200, 5);
  lists.append(1, 9);
  assert.deepEqual(
    [members(1), members(200)],
    [
      [0, 3, 9],
      [4, 5],
    ],
  );
  for (const member of lists.members(1)) lists.remove(1, member);
  assert.deepEqual([members(1), members(200)], [[], [4, 5]]);
});
