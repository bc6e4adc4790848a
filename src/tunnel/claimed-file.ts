/**
 * Files as something to claim: /etc/resolv.conf, which may be a file, a link to what some service keeps, or missing. The
 * link itself is replaced, never what it leads to.
 *
 * A resource is a path and the place that it leads to, `/etc/resolv.conf (8:1/etc/resolv.conf)`, for a path may lead to
 * different files: those of containers, and of network namespaces under `ip netns exec`.
 */
import { isUtf8 } from "node:buffer";
import { existsSync, lstatSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname } from "node:path";
import { VpnError } from "../base/errors.ts";
import { besidePath, overwriteFile, removeUnfinished, replaceFile, syncFolder } from "../os/durable-file.ts";
import { filePlace, pathTo } from "../os/file-place.ts";
import type { Claimable } from "./claims.ts";

export type FileValue =
  | { readonly kind: "absent" }
  | { readonly kind: "link"; readonly target: string }
  | {
      readonly kind: "file";
      readonly content: string;
      /** What `content` is in; utf8 where left out, which does not hold every file's bytes. */
      readonly encoding?: "base64";
      readonly mode: number;
      readonly owner: { readonly user: number; readonly group: number };
    };

const parts = /^(.*) \(([0-9]+:[0-9]+\/.*)\)$/s;

export const claimedFile: Claimable<FileValue> = {
  read(resource) {
    const path = whereIs(resource);
    if (path === undefined) return { kind: "absent" };
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined) return { kind: "absent" };
    if (status.isSymbolicLink()) return { kind: "link", target: readlinkSync(path) };
    const bytes = readFileSync(path);
    const text = isUtf8(bytes)
      ? { content: bytes.toString("utf8") }
      : { content: bytes.toString("base64"), encoding: "base64" as const };
    return { kind: "file", ...text, mode: status.mode & 0o7777, owner: { user: status.uid, group: status.gid } };
  },
  write(resource, value) {
    const path = locate(resource);
    removeUnfinished(path);
    switch (value.kind) {
      case "absent":
        rmSync(path, { force: true });
        break;
      case "link": {
        const fresh = besidePath(path);
        symlinkSync(value.target, fresh);
        renameSync(fresh, path);
        break;
      }
      case "file":
        writeContent(path, value, path === pathIn(resource));
        break;
    }
    syncFolder(dirname(path));
  },
  tidy(resource) {
    const path = whereIs(resource);
    if (path !== undefined) removeUnfinished(path);
  },
  same(a, b) {
    if (a.kind === "file" && b.kind === "file") return a.content === b.content && a.encoding === b.encoding;
    return JSON.stringify(a) === JSON.stringify(b);
  },
};

/** A file reached by another path than its own lies under a mount point somewhere, which would keep a file replaced. */
function writeContent(path: string, value: FileValue & { readonly kind: "file" }, isOwnPath: boolean): void {
  const bytes = Buffer.from(value.content, value.encoding ?? "utf8");
  if (isOwnPath || !existsSync(path)) replaceFile(path, bytes, value);
  else overwriteFile(path, bytes);
}

/** A path's name among what is claimed, as this thread sees it. */
export function fileResource(path: string): string {
  return `${path} (${filePlace(path)})`;
}

/** Where the file of a resource is seen now. Throws `not-available` where it is not. */
export function locate(resource: string): string {
  const found = whereIs(resource);
  if (found !== undefined) return found;
  throw new VpnError("not-available", `the ${pathIn(resource)} that the tunnel has changed cannot be seen from here`, {
    remedy: "run this in the container, or the like, that has it; if that is gone, take its entry out of files.json",
  });
}

function whereIs(resource: string): string | undefined {
  const path = pathIn(resource);
  const place = placeIn(resource);
  if (place === undefined) return path;
  const here = existsSync(dirname(path)) ? filePlace(path) : "";
  if (here === place) return path;
  // A device's number may have changed with a restart.
  return pathTo(place) ?? (insideOf(here) === insideOf(place) ? path : undefined);
}

const insideOf = (place: string) => place.replace(/^[0-9]+:[0-9]+/, "");

export function pathIn(resource: string): string {
  return parts.exec(resource)?.[1] ?? resource;
}

function placeIn(resource: string): string | undefined {
  return parts.exec(resource)?.[2];
}
