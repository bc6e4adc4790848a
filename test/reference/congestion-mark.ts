/** The slow twin of `mergeEcn`: RFC 6040 §4.2, figure 4, row by row, and the header's checksum made anew. */
import { slowChecksum } from "./checksum.ts";

const codepoints = ["Not-ECT", "ECT(1)", "ECT(0)", "CE"] as const;
type Codepoint = (typeof codepoints)[number];

const figure4: Readonly<Record<Codepoint, Readonly<Record<Codepoint, Codepoint | "drop">>>> = {
  "Not-ECT": { "Not-ECT": "Not-ECT", "ECT(0)": "Not-ECT", "ECT(1)": "Not-ECT", CE: "drop" },
  "ECT(0)": { "Not-ECT": "ECT(0)", "ECT(0)": "ECT(0)", "ECT(1)": "ECT(1)", CE: "CE" },
  "ECT(1)": { "Not-ECT": "ECT(1)", "ECT(0)": "ECT(1)", "ECT(1)": "ECT(1)", CE: "CE" },
  CE: { "Not-ECT": "CE", "ECT(0)": "CE", "ECT(1)": "CE", CE: "CE" },
};

/** The packet as it leaves the tunnel; undefined where it must be dropped. `outer` is a codepoint's two bits. */
export function slowMergeEcn(packet: Uint8Array, outer: number): Uint8Array | undefined {
  const isIpv4 = packet[0] >> 4 === 4;
  const trafficClass = isIpv4 ? packet[1] : ((packet[0] & 15) << 4) | (packet[1] >> 4);
  const outcome = figure4[codepoints[trafficClass & 3]][codepoints[outer]];
  if (outcome === "drop") return undefined;
  const marked = (trafficClass & ~3) | codepoints.indexOf(outcome);
  const changed = packet.slice();
  if (isIpv4) {
    changed[1] = marked;
    changed.fill(0, 10, 12);
    const sum = slowChecksum(changed.subarray(0, (packet[0] & 15) * 4));
    changed.set([sum >> 8, sum & 255], 10);
  } else {
    changed[0] = (packet[0] & 0xf0) | (marked >> 4);
    changed[1] = ((marked & 15) << 4) | (packet[1] & 15);
  }
  return changed;
}
