/** Which of the three providers seals this process's packets. */
import { openssl } from "../os/openssl.ts";
import { passesSelfTest } from "./aead-self-test.ts";
import { BlockAead } from "./block-aead.ts";
import { evpAead } from "./evp-aead.ts";
import { nodeAead } from "./node-aead.ts";
import { type AeadName, type AeadResources, aeadNames, aeadScratch, type PacketAead } from "./packet-aead.ts";

/** What became of the choice. */
export interface AeadSelection {
  /** Undefined if none will do: the one asked for is missing, or failed its self-test. */
  readonly aead: PacketAead | undefined;
  /** Those that are there but seal or open wrongly. */
  readonly failed: readonly AeadName[];
}

/** The fastest provider that this Node offers and that passes its self-test, or the one asked for by name. */
export function selectAead(resources: AeadResources, wanted?: AeadName): AeadSelection {
  const { arena, scratch } = resources;
  const failed: AeadName[] = [];
  const ownKeys = { bytes: new Uint8Array(arena.buffer), base: arena.base };
  for (const name of wanted === undefined ? aeadNames : [wanted]) {
    using candidate = createAead(name, { ...resources, keys: ownKeys });
    if (candidate === undefined) continue;
    if (passesSelfTest(candidate, ownKeys.bytes, scratch + aeadScratch / 2)) {
      return { aead: createAead(name, resources), failed };
    }
    failed.push(name);
  }
  return { aead: undefined, failed };
}

function createAead(name: AeadName, resources: AeadResources): PacketAead | undefined {
  switch (name) {
    case "block":
      return openssl.block === undefined ? undefined : new BlockAead(openssl.block, resources);
    case "evp":
      return openssl.evp === undefined ? undefined : evpAead(openssl.evp, resources);
    case "node":
      return nodeAead(resources);
  }
}
