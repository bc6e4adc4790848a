import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { libc } from "../../../src/os/libc.ts";
import { notifyServiceManager } from "../../../src/os/notify-socket.ts";
import { must } from "../../../src/os/system-error.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK = 2 | 0x800;

/** A socket bound to these bytes of sun_path, as a service manager has one. Returns what it receives. */
function listen(t: TestContext, path: Uint8Array): () => string {
  const fd = must("socket", libc.socket(AF_UNIX, SOCK_DGRAM_NONBLOCK, 0));
  t.after(() => libc.close(fd));
  const name = Uint8Array.of(AF_UNIX, 0, ...path);
  must("bind", libc.bind(fd, name, name.length));
  return () => {
    const buffer = new Uint8Array(1000);
    return Buffer.from(
      buffer.subarray(0, must("recvfrom", libc.recvfrom(fd, buffer, buffer.length, 0, null, null))),
    ).toString();
  };
}

test("a service manager is told, by a path and by an abstract name", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "warren-notify-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "notify");
  const byPath = listen(t, Buffer.from(`${path}\0`));
  notifyServiceManager(path, ["READY=1", "MAINPID=7"]);
  assert.equal(byPath(), "READY=1\nMAINPID=7");
  const abstract = `warren-${process.pid}`;
  const byName = listen(t, Buffer.from(`\0${abstract}`));
  notifyServiceManager(`@${abstract}`, ["STOPPING=1"]);
  assert.equal(byName(), "STOPPING=1");
});

test("without a service manager nothing happens, and one that does not listen is an error", () => {
  notifyServiceManager(undefined, ["READY=1"]);
  notifyServiceManager("vsock:2:1234", ["READY=1"]);
  assert.throws(
    () => notifyServiceManager("/nowhere/notify", ["READY=1"]),
    /NOTIFY_SOCKET \/nowhere\/notify failed with ENOENT/,
  );
});
