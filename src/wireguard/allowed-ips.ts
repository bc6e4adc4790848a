/**
 * Which peer an address belongs to: the longest of all allowed prefixes that covers it. A path-compressed binary trie
 * for each family, in one Int32Array that may lie in shared memory: all zeros is the empty table.
 *
 * One thread writes, any number read at the same time. A change is prepared in nodes that no reader can reach and
 * published by one store: to a link or to a node's peer. A reader sees the table before or after it, never between. Nodes
 * taken out keep their contents, so that a reader inside goes on in the old table, whose links lead ever deeper; they
 * are used again only when `retire` says that all such readers have left.
 *
 * `lookup` is hot path: allocation-free, in 32-bit arithmetic. It loads plainly: each load's address comes from the load
 * before it, an order that x86-64 and arm64 both keep, and the writer's stores are sequentially consistent.
 */
import { type AddressFamily, Cidr, IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import { NumberLists } from "./number-lists.ts";
import { PrefixList } from "./prefix-list.ts";

/** Words in a node: with 4 bytes each, a node takes 32 bytes. A prefix may cost two nodes. */
export const allowedIpsNodeWords = 8;

// A node: its prefix in up to four words of network order, its length in bits, two links, the peer's id plus one.
const bits = 4;
const link = 5;
const owner = 7;
// In place of node 0, which no link can name: the root links of both families and how many nodes were ever taken.
const root4 = 0;
const root6 = 1;
const taken = 2;

export class AllowedIps {
  readonly #words: Int32Array;
  readonly #capacity: number;
  readonly #retire: (release: () => void) => void;
  readonly #free: number[] = [];
  /** What each peer has, by the node that says so and its family. Known to the writer alone. */
  readonly #owned = new NumberLists();
  /** The prefix that the writer is at. */
  readonly #prefix = new Int32Array(4);
  /** The address that the writer reads. */
  readonly #address = new Uint8Array(16);

  /** Readers in other threads construct theirs over the same words, and call nothing but `lookup`. */
  constructor(words: Int32Array, retire: (release: () => void) => void = (release) => release()) {
    this.#words = words;
    this.#capacity = Math.floor(words.length / allowedIpsNodeWords) - 1;
    this.#retire = retire;
  }

  /** The peer whom the address at `at` belongs to, -1 if nobody. */
  lookup(bytes: Uint8Array, at: number, family: AddressFamily): number {
    return family === 4
      ? this.#lookup4(wordAt(bytes, at))
      : this.#lookup6(wordAt(bytes, at), wordAt(bytes, at + 4), wordAt(bytes, at + 8), wordAt(bytes, at + 12));
  }

  /** Gives a prefix to a peer; takes it from whoever had it. Throws `not-available` when the table is full. */
  insert(cidr: Cidr, peerId: number): void {
    if (!Number.isInteger(peerId) || peerId < 0) throw new VpnError("invalid-argument", `${peerId} is not a peer id`);
    const { family, prefix: length } = cidr;
    const prefix = this.#prefix;
    writeNetwork(cidr, prefix);
    const { at, node, depth } = this.#descend(prefix, length, family);
    if (node !== 0 && depth === length && this.#words[node + bits] === length) {
      this.#disown(node, family);
      this.#owned.append(peerId, entryOf(node, family));
      Atomics.store(this.#words, node + owner, peerId + 1);
      return;
    }
    const branches = node !== 0 && depth < length;
    this.#require(branches ? 2 : 1);
    const leaf = this.#allocate(prefix, length, peerId + 1);
    if (node !== 0 && !branches) {
      this.#words[leaf + link + bitOf(this.#words, node, length)] = node / allowedIpsNodeWords;
    }
    this.#owned.append(peerId, entryOf(leaf, family));
    if (!branches) {
      this.#publish(at, leaf);
      return;
    }
    const branch = this.#allocate(prefix, depth, 0);
    this.#words[branch + link + bitOf(prefix, 0, depth)] = leaf / allowedIpsNodeWords;
    this.#words[branch + link + bitOf(this.#words, node, depth)] = node / allowedIpsNodeWords;
    this.#publish(at, branch);
  }

  /** Takes a prefix from a peer; does nothing where the peer does not have it. */
  remove(cidr: Cidr, peerId: number): void {
    const { family, prefix: length } = cidr;
    writeNetwork(cidr, this.#prefix);
    const { at, node, depth, parent, parentAt } = this.#descend(this.#prefix, length, family);
    const words = this.#words;
    if (node === 0 || depth !== length || words[node + bits] !== depth) return;
    if (words[node + owner] !== peerId + 1) return;
    this.#disown(node, family);
    Atomics.store(words, node + owner, 0);
    const left = words[node + link] * allowedIpsNodeWords;
    const right = words[node + link + 1] * allowedIpsNodeWords;
    if (left !== 0 && right !== 0) return; // still needed, as a branch
    const gone = [node];
    if (left === 0 && right === 0 && parent !== 0 && words[parent + owner] === 0) {
      // The parent was a branch and has one child left, which takes its place.
      const sibling = words[at === parent + link ? parent + link + 1 : parent + link] * allowedIpsNodeWords;
      this.#publish(parentAt, sibling);
      gone.push(parent);
    } else {
      this.#publish(at, left + right);
    }
    this.#retire(() => this.#free.push(...gone));
  }

  removePeer(peerId: number): void {
    for (const entry of this.#owned.members(peerId)) this.remove(this.#cidrAt(entry), peerId);
  }

  /** A peer's prefixes in the order in which it got them. */
  entries(peerId: number): PrefixList {
    const list = new PrefixList();
    for (const entry of this.#owned.members(peerId)) {
      const size = this.#readAddress(entry);
      list.push(this.#address, size, this.#words[(entry >>> 1) * allowedIpsNodeWords + bits]);
    }
    return list;
  }

  // Both loops end at a host's node, whose links are 0.

  #lookup4(address: number): number {
    const words = this.#words;
    let found = 0;
    let node = words[root4] * allowedIpsNodeWords;
    while (node !== 0) {
      const length = words[node + bits];
      if (length !== 0 && (address ^ words[node]) >>> (32 - length) !== 0) break;
      const peer = words[node + owner]; // read once: a writer may clear it in between
      if (peer !== 0) found = peer;
      node = words[node + link + ((address >>> (31 - length)) & 1)] * allowedIpsNodeWords;
    }
    return found - 1;
  }

  #lookup6(a: number, b: number, c: number, d: number): number {
    const words = this.#words;
    let found = 0;
    let node = words[root6] * allowedIpsNodeWords;
    while (node !== 0) {
      const length = words[node + bits];
      const whole = length >>> 5;
      if (whole > 0 && words[node] !== a) break;
      if (whole > 1 && words[node + 1] !== b) break;
      if (whole > 2 && words[node + 2] !== c) break;
      if (whole > 3 && words[node + 3] !== d) break;
      const word = whole === 0 ? a : whole === 1 ? b : whole === 2 ? c : d;
      const rest = length & 31;
      if (rest !== 0 && (word ^ words[node + whole]) >>> (32 - rest) !== 0) break;
      const peer = words[node + owner]; // read once: a writer may clear it in between
      if (peer !== 0) found = peer;
      node = words[node + link + ((word >>> (31 - rest)) & 1)] * allowedIpsNodeWords;
    }
    return found - 1;
  }

  /**
   * Goes down as far as nodes cover the prefix. `node` is where that ends: the prefix's own node, or the first that does
   * not cover it, or 0; `depth` is how many leading bits it shares with the prefix; `at` is the word that links to it.
   */
  #descend(prefix: Int32Array, length: number, family: AddressFamily) {
    const words = this.#words;
    let parent = 0;
    let parentAt = 0;
    let at = family === 4 ? root4 : root6;
    for (;;) {
      const node = words[at] * allowedIpsNodeWords;
      if (node === 0) return { at, node, depth: 0, parent, parentAt };
      const nodeLength = words[node + bits];
      const depth = sharedBits(prefix, words, node, Math.min(length, nodeLength));
      if (depth < nodeLength || nodeLength === length) return { at, node, depth, parent, parentAt };
      parent = node;
      parentAt = at;
      at = node + link + bitOf(prefix, 0, nodeLength);
    }
  }

  #require(count: number): void {
    const room = this.#free.length + this.#capacity - this.#words[taken];
    if (room < count) {
      throw new VpnError("not-available", `the table of allowed IPs is full with ${this.#capacity} nodes`);
    }
  }

  /** A node no reader can reach yet. Bits of its prefix past its length mean nothing. */
  #allocate(prefix: Int32Array, length: number, ownerWord: number): number {
    const words = this.#words;
    const node = this.#free.pop() ?? ++words[taken] * allowedIpsNodeWords;
    for (let i = 0; i < 4; i++) words[node + i] = prefix[i];
    words[node + bits] = length;
    words[node + link] = 0;
    words[node + link + 1] = 0;
    words[node + owner] = ownerWord;
    return node;
  }

  #publish(at: number, node: number): void {
    Atomics.store(this.#words, at, node / allowedIpsNodeWords);
  }

  #disown(node: number, family: AddressFamily): void {
    const ownerWord = this.#words[node + owner];
    if (ownerWord !== 0) this.#owned.remove(ownerWord - 1, entryOf(node, family));
  }

  #cidrAt(entry: number): Cidr {
    const size = this.#readAddress(entry);
    const length = this.#words[(entry >>> 1) * allowedIpsNodeWords + bits];
    return new Cidr(new IpAddress(this.#address.subarray(0, size)), length).network;
  }

  /** Reads an entry's address, with whatever is behind its prefix, and returns its length in bytes. */
  #readAddress(entry: number): number {
    const at = (entry >>> 1) * allowedIpsNodeWords;
    const size = (entry & 1) === 0 ? 4 : 16;
    for (let i = 0; i < size; i++) this.#address[i] = this.#words[at + (i >> 2)] >>> (24 - 8 * (i & 3));
    return size;
  }
}

/** A node's number, and in the lowest bit its family, which the node itself does not tell. */
function entryOf(node: number, family: AddressFamily): number {
  return (2 * node) / allowedIpsNodeWords + (family === 4 ? 0 : 1);
}

/** Four bytes in network order as a signed 32-bit integer. */
function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

/** The words of a prefix, with the bits past its length zero. */
function writeNetwork({ address: { bytes }, prefix }: Cidr, into: Int32Array): void {
  for (let i = 0; i < 4; i++) {
    const kept = Math.max(0, Math.min(32, prefix - 32 * i));
    into[i] = 4 * i < bytes.length && kept > 0 ? wordAt(bytes, 4 * i) & (-1 << (32 - kept)) : 0;
  }
}

/** How many leading bits two prefixes share, at most `limit`. */
function sharedBits(prefix: Int32Array, words: Int32Array, node: number, limit: number): number {
  for (let i = 0; 32 * i < limit; i++) {
    const shared = Math.clz32(prefix[i] ^ words[node + i]);
    if (shared < 32) return Math.min(32 * i + shared, limit);
  }
  return limit;
}

/** Bit `index` of the prefix at `at`, counted from the most significant. */
function bitOf(words: Int32Array, at: number, index: number): number {
  return (words[at + (index >>> 5)] >>> (31 - (index & 31))) & 1;
}
