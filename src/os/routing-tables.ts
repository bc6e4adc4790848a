/** The names of routing tables, as iproute2 keeps them: one `NUMBER NAME` a line (ip-route(8)). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { VpnError } from "../base/errors.ts";

const files = ["/usr/share/iproute2/rt_tables", "/etc/iproute2/rt_tables"];
const folders = ["/usr/share/iproute2/rt_tables.d", "/etc/iproute2/rt_tables.d"];
/** linux/rtnetlink.h; these need no file. */
const builtIn: readonly (readonly [string, number])[] = [
  ["default", 253],
  ["main", 254],
  ["local", 255],
];

/** The number of a table by its name. Throws `invalid-configuration` where no file names it. */
export function routingTable(name: string): number {
  const texts = [...files, ...folders.flatMap(configurationsIn)].map(readIfThere);
  const number = new Map([...builtIn, ...texts.flatMap(parseTables)]).get(name);
  if (number !== undefined) return number;
  throw new VpnError("invalid-configuration", `there is no routing table called ${name}`, {
    remedy: "give its number, or name it in /etc/iproute2/rt_tables",
  });
}

/** The names and numbers in such a file. */
export function parseTables(text: string): [string, number][] {
  return [...text.matchAll(/^\s*(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})\s+([^\s#]+)/gm)].map(([, number, name]) => [
    name,
    Number(number),
  ]);
}

function configurationsIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((file) => file.endsWith(".conf"))
      .map((file) => join(folder, file));
  } catch {
    return [];
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
