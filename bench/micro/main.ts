/**
 * `npm run bench:micro`: what single routines of the packet path cost, by mitata. Each file here measures one of them
 * and nothing else; arguments after `--` are regular expressions, and only files that match one of them are run. Such
 * figures say which of two ways is the faster, not how fast a tunnel is: for that there is `npm run bench`.
 */
import { run } from "mitata";
import { measureAead } from "./aead.ts";
import { measureAllowedIps } from "./allowed-ips.ts";
import { measureChecksum } from "./checksum.ts";
import { measureCoalescing } from "./coalescing.ts";
import { measureReplayWindow } from "./replay-window.ts";
import { measureSegmentation } from "./segmentation.ts";

const subjects: Readonly<Record<string, () => void>> = {
  aead: measureAead,
  segmentation: measureSegmentation,
  coalescing: measureCoalescing,
  checksum: measureChecksum,
  "replay-window": measureReplayWindow,
  "allowed-ips": measureAllowedIps,
};

const wanted = process.argv.slice(2).map((pattern) => new RegExp(pattern));
for (const [name, measure] of Object.entries(subjects)) {
  if (wanted.length === 0 || wanted.some((pattern) => pattern.test(name))) measure();
}
await run();
