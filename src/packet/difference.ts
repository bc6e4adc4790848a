/**
 * What became of a packet between two places where it was seen: which headers came or went, and which fields changed.
 * Found by comparing the bytes, field by field; nothing is known of what lay between.
 */
import { equalBytes } from "../base/bytes.ts";
import type { Layer, PacketField } from "./dissection.ts";

export type PacketChange =
  | { readonly kind: "added" | "removed"; readonly layer: Layer; readonly bytes: number }
  | {
      readonly kind: "changed";
      readonly layer: Layer;
      readonly field: string;
      readonly from: string;
      readonly to: string;
    };

/** Every difference between two dissections, in the order of the packet; none where the bytes are the same. */
export function comparePackets(before: readonly PacketField[], after: readonly PacketField[]): PacketChange[] {
  const [former, latter] = [byLayer(before), byLayer(after)];
  return [
    ...[...latter].flatMap(([layer, fields]): PacketChange[] => {
      const old = former.get(layer);
      return old === undefined ? [{ kind: "added", layer, bytes: sizeOf(fields) }] : compareFields(old, fields);
    }),
    ...[...former].flatMap(([layer, fields]): PacketChange[] =>
      latter.has(layer) ? [] : [{ kind: "removed", layer, bytes: sizeOf(fields) }],
    ),
  ];
}

/** A change in words, such as `IPv4 time to live 64 → 63`. */
export function describeChange(change: PacketChange): string {
  if (change.kind !== "changed") {
    return `${change.layer}${change.layer === "payload" ? "" : " header"} of ${change.bytes} bytes ${change.kind}`;
  }
  const { layer, field, from, to } = change;
  const name = (layer as string) === field ? layer : `${layer} ${field}`;
  return from === to ? `${name}: other bytes, ${to}` : `${name} ${from} → ${to}`;
}

/** Fields without a counterpart, such as options, count as empty on the other side. */
function compareFields(before: readonly PacketField[], after: readonly PacketField[]): PacketChange[] {
  const names = new Set([...after, ...before].map(({ name }) => name));
  return [...names].flatMap((name): PacketChange[] => {
    const from = before.find((field) => field.name === name);
    const to = after.find((field) => field.name === name);
    const { layer } = (to ?? from) as PacketField;
    if (from !== undefined && to !== undefined && from.value === to.value && equalBytes(from.bytes, to.bytes))
      return [];
    return [{ kind: "changed", layer, field: name, from: from?.value ?? "none", to: to?.value ?? "none" }];
  });
}

function byLayer(fields: readonly PacketField[]): Map<Layer, PacketField[]> {
  const layers = new Map<Layer, PacketField[]>();
  for (const field of fields) layers.set(field.layer, [...(layers.get(field.layer) ?? []), field]);
  return layers;
}

function sizeOf(fields: readonly PacketField[]): number {
  return fields.reduce((sum, { bytes }) => sum + bytes.length, 0);
}
