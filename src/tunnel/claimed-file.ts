/**
 * Files as something to claim: /etc/resolv.conf, which may be a file, a link to what some service keeps, or missing. The
 * link itself is replaced, never what it leads to.
 */
import { lstatSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname } from "node:path";
import { besidePath, removeUnfinished, replaceFile, syncFolder } from "../os/durable-file.ts";
import type { Claimable } from "./claims.ts";

export type FileValue =
  | { readonly kind: "absent" }
  | { readonly kind: "link"; readonly target: string }
  | {
      readonly kind: "file";
      readonly content: string;
      readonly mode: number;
      readonly owner: { readonly user: number; readonly group: number };
    };

export const claimedFile: Claimable<FileValue> = {
  read(path) {
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined) return { kind: "absent" };
    if (status.isSymbolicLink()) return { kind: "link", target: readlinkSync(path) };
    const owner = { user: status.uid, group: status.gid };
    return { kind: "file", content: readFileSync(path, "utf8"), mode: status.mode & 0o7777, owner };
  },
  write(path, value) {
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
        replaceFile(path, value.content, value);
        break;
    }
    syncFolder(dirname(path));
  },
  tidy: removeUnfinished,
  same(a, b) {
    if (a.kind === "file" && b.kind === "file") return a.content === b.content;
    return JSON.stringify(a) === JSON.stringify(b);
  },
};
