import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { signalOwner } from "../../../src/cli/live-tunnel.ts";
import { bootId, pidNamespaceId } from "../../../src/os/boot.ts";

test("a process is signalled by its number only where that number is its own", async () => {
  const child = spawn("sleep", ["1000"], { stdio: "ignore" });
  const { pid = 0 } = child;
  const owner = { tunnel: "wg0", boot: bootId(), pid, role: "up" } as const;
  assert.throws(() => signalOwner({ ...owner, pidNamespace: "pid:[1]" }, "SIGTERM"), {
    code: "not-available",
    message: `wg0 belongs to process ${pid} of another PID namespace and does not answer`,
  });
  signalOwner({ ...owner, pidNamespace: pidNamespaceId() }, "SIGHUP");
  assert.deepEqual(await once(child, "exit"), [null, "SIGHUP"], "the first signal that it got");
});
