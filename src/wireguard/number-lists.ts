/**
 * Doubly linked lists of small integers, each number in one list at most: which entries of a table are whose. Kept in
 * typed arrays, since there may be a hundred thousand, which as objects would take ten times the memory.
 */

/** In place of a neighbour: none. Members are kept with 1 added, so that new memory holds empty lists. */
const none = 0;

export class NumberLists {
  #next = new Int32Array(64);
  #previous = new Int32Array(64);
  #first = new Int32Array(16);
  #last = new Int32Array(16);

  /** Puts a number that is in no list at the end of one. */
  append(list: number, member: number): void {
    this.#next = grown(this.#next, member);
    this.#previous = grown(this.#previous, member);
    this.#first = grown(this.#first, list);
    this.#last = grown(this.#last, list);
    const last = this.#last[list];
    this.#previous[member] = last;
    this.#next[member] = none;
    if (last === none) this.#first[list] = member + 1;
    else this.#next[last - 1] = member + 1;
    this.#last[list] = member + 1;
  }

  /** Takes a number out of the list that it is in. */
  remove(list: number, member: number): void {
    const next = this.#next[member];
    const previous = this.#previous[member];
    if (previous === none) this.#first[list] = next;
    else this.#next[previous - 1] = next;
    if (next === none) this.#last[list] = previous;
    else this.#previous[next - 1] = previous;
  }

  /** The members of a list in the order in which they were put there. The one that was just given may be removed. */
  *members(list: number): Iterable<number> {
    for (let entry = this.#first[list] ?? none; entry !== none; ) {
      const member = entry - 1;
      entry = this.#next[member];
      yield member;
    }
  }
}

/** The same numbers with room for one at `index`. */
function grown(array: Int32Array<ArrayBuffer>, index: number): Int32Array<ArrayBuffer> {
  if (index < array.length) return array;
  const larger = new Int32Array(Math.max(index + 1, 2 * array.length));
  larger.set(array);
  return larger;
}
