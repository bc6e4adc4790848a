/**
 * `warren trace`: watch the packets of a tunnel that is up, inside and outside, until Ctrl-C. It is a process of its own
 * and changes nothing in the tunnel.
 */
import type { Command } from "commander";
import { VpnError } from "../base/errors.ts";
import type { TraceEvent } from "../trace/journey.ts";

interface TraceOptions {
  readonly pcap?: string;
  readonly force?: boolean;
  readonly count?: number;
  readonly json?: boolean;
}

/** Output that nobody has read yet; beyond it packets are not shown, but counted and captured. */
const mostUnread = 1_000_000;

/** Declares the command; what it needs is loaded when it runs. */
export function traceCommand(program: Command): void {
  program
    .command("trace")
    .description("watch what passes a tunnel that is up, inside and outside, until Ctrl-C")
    .argument("<interface>", "the tunnel's interface")
    .option("--pcap <file>", "keep what was seen in a new file, for Wireshark and tcpdump")
    .option("--force", "replace that file if it exists")
    .option("--count <number>", "end after so many packets", parseCount)
    .option("--json", "one JSON object a line (docs/trace.md)")
    .action(trace);
}

async function trace(device: string, options: TraceOptions): Promise<void> {
  const { pcap: path, force = false, count, json = false } = options;
  if (force && path === undefined) {
    throw new VpnError("invalid-argument", "--force replaces the file of --pcap: add --pcap FILE, or leave it out");
  }
  const end = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => end.abort());
  process.stdout.on("error", () => end.abort()); // nobody is there to read what is seen
  const { CaptureFile } = await import("../trace/capture-file.ts");
  const { describeEvent } = await import("../trace/journey-account.ts");
  const { encodeEvent } = await import("../trace/journey-record.ts");
  const { Tracer } = await import("../trace/tracer.ts");
  const print = (event: TraceEvent) => {
    if (process.stdout.writableLength > mostUnread && event.kind !== "end") return;
    console.log(json ? JSON.stringify(encodeEvent(event)) : describeEvent(event).join("\n"));
  };
  using resources = new DisposableStack();
  const open = () => (path === undefined ? undefined : resources.use(new CaptureFile(path, force)));
  using tracer = await Tracer.open({ device, openFile: open, count, onEvent: print });
  print({ kind: "begin", device });
  try {
    await tracer.run(end.signal);
  } finally {
    print(tracer.finish());
  }
}

function parseCount(text: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw new VpnError("invalid-argument", `--count takes a whole number from 1 on, not ${JSON.stringify(text)}`);
}
