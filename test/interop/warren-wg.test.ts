/** How warren-wg begins and ends, and what it leaves: in the background and in the foreground. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, watch } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { TunDevice } from "../../src/os/tun-device.ts";
import { listenUnix } from "../../src/os/unix-socket.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { Machine, Program } from "./machine.ts";
import { keyPair, UserspaceWireguard, uniqueName, warrenWg, wg } from "./userspace-wireguard.ts";

const isReady = (t: TestContext) => requireNamespaces(t) && requireProgram(t, "wg", "wireguard-tools") !== undefined;
const socketOf = (name: string) => `/var/run/wireguard/${name}.sock`;

/** The process whose command ends with the interface's name; there is one once it has started. */
function pidOf(name: string): number {
  const pids = readdirSync("/proc").filter((entry) => /^[0-9]+$/.test(entry));
  const found = pids.find((pid) => commandOf(pid).endsWith(`warren-wg.ts\0${name}\0`));
  return found === undefined ? assert.fail(`nothing runs for ${name}`) : Number(found);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return ""; // it has ended meanwhile
  }
}

/** Resolves when a file is gone. */
async function gone(path: string): Promise<void> {
  const watcher = watch(join(path, ".."));
  try {
    while (existsSync(path)) await once(watcher, "change");
  } finally {
    watcher.close();
  }
}

/** A host in whose background warren-wg is to run, and is ended with the test. */
function place(t: TestContext): { host: Machine; name: string } {
  const name = uniqueName();
  const host = new Machine();
  t.after(() => {
    const link = host.config.links.find(name);
    if (link !== undefined) host.config.links.delete(link.index); // ends it
    host[Symbol.dispose]();
  });
  return { host, name };
}

test("in the background: wg can speak to it at once, and it holds nothing of the caller's", async (t) => {
  if (!isReady(t)) return;
  const { host, name } = place(t);
  // Descriptor 200 is a lock that scripts leave open, and 3 one that Node itself would mark.
  const script = 'cd "$2"; exec 200>lock 3>&1; "$0" "$1" && wg show "$1" && readlink /proc/self/fd/1';
  const folder = mkdtempSync(join(tmpdir(), "warren-wg-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const { code, stdout, stderr } = await host.start(["bash", "-c", script, warrenWg, name, folder]).outcome;
  assert.equal(code, 0, stderr);
  assert.match(stdout, new RegExp(`^interface: ${name}\n`));
  const pid = pidOf(name);
  const callers = stdout.trim().split("\n").at(-1) ?? assert.fail("the caller's pipe has no name");
  const held = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  assert.ok(held.length > 5);
  assert.deepEqual(
    held.filter((target) => target === callers || target.startsWith(folder)),
    [],
  );
  assert.deepEqual(
    [0, 1, 2].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)),
    Array(3).fill("/dev/null"),
  );
  assert.equal(readlinkSync(`/proc/${pid}/cwd`), "/");
  const status = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) . /, "");
  const [, group, session, terminal] = status.split(" ").map(Number); // proc(5): after the state, and the parent
  assert.deepEqual([group, session, terminal], [pid, pid, 0]);
  assert.equal(host.config.links.find(name)?.up, false, "wg-quick brings it up");
  assert.equal(lstatSync(socketOf(name)).mode & 0o777, 0o600);

  const end = gone(socketOf(name));
  process.kill(pid, "SIGTERM");
  await end;
});

test("the deletion of its interface ends it, up or down", async (t) => {
  if (!isReady(t)) return;
  for (const up of [false, true]) {
    using host = new Machine();
    const tunnel = await UserspaceWireguard.start(host);
    const index = host.indexOf(tunnel.name);
    host.config.links.set(index, { up });
    host.config.links.delete(index);
    const { code, stderr } = await tunnel.program.outcome;
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(existsSync(socketOf(tunnel.name)), false);
  }
});

test("signals and the removal of its socket end it in good order", async (t) => {
  if (!isReady(t)) return;
  using host = new Machine();
  const ends: Record<string, (tunnel: UserspaceWireguard) => void> = {
    SIGTERM: ({ program }) => program.kill("SIGTERM"),
    SIGINT: ({ program }) => program.kill("SIGINT"),
    SIGHUP: ({ program }) => program.kill("SIGHUP"),
    "the socket removed": ({ name }) => rmSync(socketOf(name)),
  };
  for (const [what, end] of Object.entries(ends)) {
    const tunnel = await UserspaceWireguard.start(host);
    end(tunnel);
    const { code, stderr } = await tunnel.program.outcome;
    assert.deepEqual([code, stderr], [0, ""], what);
    assert.equal(existsSync(socketOf(tunnel.name)), false, what);
    assert.equal(host.config.links.find(tunnel.name), undefined, what);
  }
});

test("what a killed one left is taken over; a live one is not", async (t) => {
  if (!isReady(t)) return;
  using host = new Machine();
  using other = new Machine();
  const killed = await UserspaceWireguard.start(host);
  killed.program.kill("SIGKILL");
  await killed.program.outcome;
  assert.equal(existsSync(socketOf(killed.name)), true);
  using next = await UserspaceWireguard.start(host, warrenWg, killed.name);
  assert.match(await next.show(), /^interface:/);
  for (const [where, complaint] of [
    [host, /another process has the interface .* \(TUNSETIFF: EBUSY\): choose another name/],
    [other, /another process listens on \/var\/run\/wireguard\/.*: end it, or choose another interface name/],
  ] as const) {
    for (const command of [
      [warrenWg, next.name],
      [warrenWg, "-f", next.name],
    ]) {
      const { code, stdout, stderr } = await where.start(command).outcome;
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, /^warren-wg: [^\n]+\n$/);
      assert.match(stderr, complaint);
    }
  }
  assert.equal(other.config.links.find(next.name), undefined);
  assert.match(await next.show(), /^interface:/);
});

test("wrong usage is one line and status 2", async (t) => {
  if (!isReady(t)) return;
  using host = new Machine();
  for (const words of [[], ["-f"], ["--nope"], ["wg0", "wg1"], ["-f", "wg0", "wg1"], ["--version", "wg0"], ["a/b"]]) {
    const { code, stdout, stderr } = await host.start([warrenWg, ...words]).outcome;
    assert.deepEqual([code, stdout], [2, ""], words.join(" "));
    assert.match(stderr, /^warren-wg: [^\n]+\n$/);
  }
  const wrong = await host.start(["env", "WG_TUN_FD=x", warrenWg, "wg0"]).outcome;
  assert.deepEqual([wrong.code, wrong.stderr], [2, 'warren-wg: WG_TUN_FD is "x", which is no descriptor\n']);
  assert.match((await host.start([warrenWg, "--version"]).outcome).stdout, /^warren-wg [0-9.]+\n$/);
  assert.match((await host.start([warrenWg, "--help"]).outcome).stdout, /^Usage: warren-wg .*\n$/);
});

test("the environment says what it says to wireguard-go", async (t) => {
  if (!isReady(t)) return;
  using host = new Machine();
  const folder = mkdtempSync(join(tmpdir(), "warren-wg-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const nameFile = join(folder, "name");
  const settings = ["WG_PROCESS_FOREGROUND=1", "LOG_LEVEL=debug", `WG_TUN_NAME_FILE=${nameFile}`];
  const program = host.start(["env", ...settings, warrenWg, "wt%d"]);
  await program.line(/\(wt0\) .* UAPI listener started/);
  assert.equal(readFileSync(nameFile, "utf8"), "wt0\n");
  assert.match(await wg(host, ["show", "wt0"]), /^interface: wt0\n/);
  const peer = keyPair(9).public;
  await wg(host, ["set", "wt0", "private-key", "/dev/stdin"], keyPair(8).secret);
  await wg(host, ["set", "wt0", "peer", peer, "endpoint", "127.0.0.1:9", "persistent-keepalive", "1"]);
  host.setUp("lo");
  host.setUp("wt0");
  await program.line(/: sending handshake initiation to 127\.0\.0\.1:9/);
  host.config.links.set(host.config.links.find("wt0")?.index ?? 0, { mtu: 1380 });
  await program.line(/MTU is 1380/);
  await wg(host, ["set", "wt0", "peer", peer, "remove"]);
  await program.line(/peer .* removed/);
  program.kill("SIGTERM");
  const { code, stdout, stderr } = await program.outcome;
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /Shutting down/);
  for (const event of [/Interface is up/, /peer .{8}…: added/, /peer .{8}…: changed|peer .{8}…: sending/]) {
    assert.match(stdout, event);
  }
  for (const line of stdout.trim().split("\n")) assert.match(line, /^DEBUG: \(wt0\) \d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d /);

  const unknown = host.start(["env", "LOG_LEVEL=silly", warrenWg, "-f", "lo"]);
  assert.match(
    (await unknown.outcome).stderr,
    /^warren-wg: LOG_LEVEL is "silly": known are verbose, debug, error and sil/,
  );

  const silent = await host.start(["env", "LOG_LEVEL=silent", warrenWg, "-f", "lo"]).outcome;
  assert.deepEqual(silent, { code: 1, signal: null, stdout: "", stderr: "" });
});

test("one that nobody waits for any more ends, and leaves nothing", async (t) => {
  if (!isReady(t)) return;
  const { host, name } = place(t);
  const script = 'exec 9> >(exec cat <&-); wait $!; WARREN_READY_FD=9 exec "$0" "$1"'; // 9: a pipe nobody reads
  const { code } = await host.start(["bash", "-c", script, warrenWg, name]).outcome;
  assert.equal(code, 1);
  assert.equal(host.config.links.find(name), undefined);
  assert.equal(existsSync(socketOf(name)), false);
});

test("it needs no standard streams", async (t) => {
  if (!isReady(t)) return;
  const { host, name } = place(t);
  await host.run("sh", "-c", 'exec "$0" "$1" <&- >&- 2>&-', warrenWg, name);
  assert.match(await wg(host, ["show", name]), /^interface:/);
});

test("a log in a file goes on in the background", async (t) => {
  if (!isReady(t)) return;
  const { host, name } = place(t);
  const folder = mkdtempSync(join(tmpdir(), "warren-wg-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const log = join(folder, "log");
  await host.run("sh", "-c", 'LOG_LEVEL=verbose "$0" "$1" >"$2" 2>&1', warrenWg, name, log);
  assert.match(readFileSync(log, "utf8"), /UAPI listener started/);
  const end = gone(socketOf(name));
  process.kill(pidOf(name), "SIGTERM");
  await end;
  assert.match(readFileSync(log, "utf8"), /Shutting down: signal/);
});

test("a TUN device and a socket that others opened are taken over, in the background as well", async (t) => {
  if (!isReady(t)) return;
  for (const words of [["-f"], []]) {
    const { host, name } = place(t);
    using device = host.namespace.run(() => TunDevice.open({ name }));
    const listening = listenUnix(socketOf(name));
    const child = host.namespace.run(() =>
      spawn(warrenWg, [...words, "ignored"], {
        stdio: ["pipe", "pipe", "pipe", "ignore", device.fd, "ignore", listening],
        env: { ...process.env, WG_TUN_FD: "4", WG_UAPI_FD: "6", LOG_LEVEL: words.length > 0 ? "verbose" : "" },
      }),
    );
    const program = new Program(child as ConstructorParameters<typeof Program>[0], "");
    if (words.length > 0) await program.line(/UAPI listener started/);
    else assert.equal((await program.outcome).code, 0);
    createServer().listen({ fd: listening }).close(); // our own descriptor
    assert.match(await wg(host, ["show", name]), new RegExp(`^interface: ${name}\n`));
    const end = gone(socketOf(name));
    host.config.links.delete(host.indexOf(name));
    await end;
    if (words.length > 0) assert.equal((await program.outcome).code, 0);
  }
});

test("a descriptor that is no TUN device is refused", async (t) => {
  if (!isReady(t)) return;
  using host = new Machine();
  const { code, stderr } = await host.start(["sh", "-c", 'WG_TUN_FD=9 exec "$0" wg0 9</dev/null', warrenWg]).outcome;
  assert.ok(code === 1 || code === 2, stderr);
  assert.match(stderr, /^warren-wg: .*9[^\n]*\n$/);
});
