/**
 * The command `warren-wg`, which stands where wireguard-go stood: makes one interface, which is down and knows no peer,
 * and serves the configuration protocol for it, so that `wg`, `wg-quick` and `ip` do the rest. It is ready within a
 * quarter of a second, and therefore loads neither the other commands nor what reads their arguments.
 *
 * Exit status: 0 where it ended as it was told to, by a signal or by the deletion of its interface; 1 failed; 2 wrong
 * usage. Environment, as wireguard-go has it: WG_PROCESS_FOREGROUND=1 is `-f`; LOG_LEVEL is verbose or debug, error (the
 * default), or silent; WG_TUN_FD and WG_UAPI_FD are descriptors of a TUN device and of a listening socket to take over;
 * WG_TUN_NAME_FILE names a file that the interface's name is written to. WARREN_AEAD is of our own: see chosen-aead.ts.
 */
import { readFileSync } from "node:fs";
import { VpnError } from "../base/errors.ts";
import { inBackground, runInBackground } from "./background.ts";

const usage = "warren-wg [-f|--foreground] INTERFACE-NAME";

for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {}); // whoever listened may leave
process.exitCode = await main(process.argv.slice(2));

async function main(words: readonly string[]): Promise<number> {
  const [first, ...others] = words;
  if (words.length === 1 && (first === "--version" || first === "-V")) return print(`warren-wg ${readVersion()}`);
  if (words.length === 1 && (first === "--help" || first === "-h")) return print(`Usage: ${usage}`);
  const isFlagged = first === "-f" || first === "--foreground";
  const [name, ...rest] = isFlagged ? others : words;
  if (name === undefined || name.startsWith("-") || rest.length > 0) {
    console.error(`warren-wg: usage: ${usage}`);
    return 2;
  }
  try {
    checkLogLevel();
    const descriptors = { tun: readDescriptor("WG_TUN_FD"), control: readDescriptor("WG_UAPI_FD") };
    if (!isFlagged && process.env.WG_PROCESS_FOREGROUND !== "1" && !inBackground()) {
      const keepsLog = (process.env.LOG_LEVEL ?? "silent") !== "silent";
      const handedOn = Object.values(descriptors).filter((fd) => fd !== undefined);
      return await runInBackground({ descriptors: handedOn, keepsLog });
    }
    const { runInterface } = await import("./interface-daemon.ts");
    await runInterface(name, descriptors);
    return 0;
  } catch (error) {
    if (process.env.LOG_LEVEL !== "silent") {
      console.error(`warren-wg: ${error instanceof VpnError ? error.line : String(error)}`);
    }
    return error instanceof VpnError && error.code === "invalid-argument" ? 2 : 1;
  }
}

function print(line: string): number {
  console.log(line);
  return 0;
}

function readVersion(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}

function checkLogLevel(): void {
  const { LOG_LEVEL: level = "" } = process.env;
  if (["", "verbose", "debug", "error", "silent"].includes(level) || inBackground()) return;
  console.error(`warren-wg: LOG_LEVEL is ${JSON.stringify(level)}: known are verbose, debug, error and silent`);
}

function readDescriptor(variable: string): number | undefined {
  const text = process.env[variable];
  if (text === undefined || text === "") return undefined;
  if (/^[0-9]{1,6}$/.test(text)) return Number(text);
  throw new VpnError("invalid-argument", `${variable} is ${JSON.stringify(text)}, which is no descriptor`);
}
