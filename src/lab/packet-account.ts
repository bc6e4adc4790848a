/** Packets for a reader: their bytes in lines, their fields in a table, and the same as data for the record. Pure. */
import { toHex } from "../base/bytes.ts";
import { dissect } from "../packet/dissection.ts";

export interface FieldRecord {
  readonly offset: number;
  /** In hexadecimal. */
  readonly bytes: string;
  readonly layer: string;
  readonly name: string;
  readonly value: string;
}

/** A packet with what is in it, field by field. */
export interface PacketRecord {
  /** In hexadecimal. */
  readonly bytes: string;
  readonly fields: readonly FieldRecord[];
}

/** A longer field is cut to eight bytes. */
const longestShown = 16;

export function recordPacket(packet: Uint8Array, start: Parameters<typeof dissect>[1] = "packet"): PacketRecord {
  const fields = dissect(packet, start).map(({ bytes, ...field }) => ({ ...field, bytes: toHex(bytes) }));
  return { bytes: toHex(packet), fields };
}

/** So many bytes to a line, each line with the offset of its first byte, as `0010  0808 0808 …`. */
export function hexLines(hex: string, bytesPerLine = 16): string[] {
  const lines = hex.match(new RegExp(`.{1,${bytesPerLine * 2}}`, "g")) ?? [];
  return lines.map((line, i) => `${(i * bytesPerLine).toString(16).padStart(4, "0")}  ${groups(line)}`);
}

/** In fours. */
export function groups(hex: string): string {
  return hex.match(/.{1,4}/g)?.join(" ") ?? "";
}

/** A line per field under a line of titles: offset, bytes, which header, and what it says. */
export function fieldLines(fields: readonly FieldRecord[]): string[] {
  const rows = [
    { offset: "offset", bytes: "bytes", field: "field", value: "meaning" },
    ...fields.map(({ offset, bytes, layer, name, value }) => ({
      offset: String(offset).padStart(6),
      bytes: bytes.length > longestShown * 2 ? `${bytes.slice(0, longestShown)} …` : bytes,
      field: layer === name ? layer : `${layer} ${name}`,
      value,
    })),
  ];
  const [bytesWidth, fieldWidth] = [widest(rows.map(({ bytes }) => bytes)), widest(rows.map(({ field }) => field))];
  return rows.map(({ offset, bytes, field, value }) =>
    [offset, bytes.padEnd(bytesWidth), field.padEnd(fieldWidth), value].join("  "),
  );
}

function widest(texts: readonly string[]): number {
  return Math.max(...texts.map(({ length }) => length));
}
