/**
 * Files as something to claim: /etc/resolv.conf, which may be a file, a link to what some service keeps, or missing. The
 * link itself is replaced, never what it leads to.
 *
 * A resource is a path and the place that it leads to, `/etc/resolv.conf (8:1/etc/resolv.conf)`, for a path may lead to
 * different files: those of containers, and of network namespaces under `ip netns exec`.
 */
import { isUtf8 } from "node:buffer";
import { lstatSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname } from "node:path";
import { VpnError } from "../base/errors.ts";
import { besidePath, removeUnfinished, replaceFile, syncFolder } from "../os/durable-file.ts";
import { filePlace } from "../os/file-place.ts";
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

export const claimedFile: Claimable<FileValue> = {
  /** Where it leads elsewhere now, what was claimed is not there. */
  read(resource) {
    const path = pathIn(resource);
    if (!leadsThere(resource)) return { kind: "absent" };
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
    const path = pathIn(resource);
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
        replaceFile(path, Buffer.from(value.content, value.encoding ?? "utf8"), value);
        break;
    }
    syncFolder(dirname(path));
  },
  tidy: (resource) => removeUnfinished(pathIn(resource)),
  same(a, b) {
    if (a.kind === "file" && b.kind === "file") return a.content === b.content && a.encoding === b.encoding;
    return JSON.stringify(a) === JSON.stringify(b);
  },
};

/** A path's name among what is claimed, as this thread sees it. */
export function fileResource(path: string): string {
  return `${path} (${filePlace(path)})`;
}

/** Leaves out the device: its number may have changed with a restart. */
function leadsThere(resource: string): boolean {
  const path = pathIn(resource);
  return (
    resource === path || resource.replace(/ \([0-9]+:[0-9]+/, "") === fileResource(path).replace(/ \([0-9]+:[0-9]+/, "")
  );
}

/** Throws `not-available` where the path of a resource leads to another file here than when it was claimed. */
export function checkPlace(resource: string): void {
  const path = pathIn(resource);
  if (resource === path || resource === fileResource(path)) return;
  throw new VpnError("not-available", `${path} is another file here than where the tunnel has changed it`, {
    remedy: "run this there, such as with `ip netns exec`; where that is gone, take its entry out of files.json",
  });
}

export function pathIn(resource: string): string {
  return /^(.*) \([0-9]+:[0-9]+\/.*\)$/s.exec(resource)?.[1] ?? resource;
}
