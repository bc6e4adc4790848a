/**
 * What the threads of `turns.test.ts` write down, in words: what the leader alone may touch, how many lead, what whoever has
 * the turn may touch, and how many have it; then the numbers they led by, in the order of their turns.
 */
export const Journal = {
  size: 100_004,
  led: 0,
  leaders: 1,
  done: 2,
  turns: 3,
  entries: 4,
} as const;
