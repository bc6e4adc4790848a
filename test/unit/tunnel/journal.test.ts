import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { VpnError } from "../../../src/base/errors.ts";
import { NetworkNamespace } from "../../../src/os/namespace.ts";
import { LastingTable } from "../../../src/os/nftables.ts";
import { claimFile } from "../../../src/tunnel/deed.ts";
import { Journal } from "../../../src/tunnel/journal.ts";
import { KillSwitch, killSwitchTable } from "../../../src/tunnel/kill-switch.ts";
import type { StateFolders } from "../../../src/tunnel/state-folder.ts";
import { requireNamespaces } from "../../requirements.ts";
import { fillDisk, makeRoom, smallDisk } from "../../small-disk.ts";

const pageBytes = 4096;

function foldersOf(t: TestContext): StateFolders {
  const folder = mkdtempSync(join(tmpdir(), "warren-journal-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return { run: join(folder, "run"), lasting: join(folder, "lasting") };
}

function fileOf({ run }: StateFolders): string {
  const [file] = globSync(`${run}/*/wg0.journal`);
  return file;
}

function dead(folders: StateFolders): Journal {
  const state = Journal.find("wg0", folders);
  assert.ok(state.kind === "dead");
  return state.journal;
}

const nothing = () => undefined;
const hooks = { kind: "hooks", stage: "postDown", commands: ["one", "two"] } as const;

test("a deed is written before it is done, and undone the last first", (t) => {
  const folders = foldersOf(t);
  using journal = Journal.open("wg0", { folders });
  const paths = ["a", "b"].map((name) => join(folders.run, name));
  for (const path of paths) {
    journal.record({ kind: "file", path }, (context) => {
      assert.match(readFileSync(fileOf(folders), "utf8"), new RegExp(`"path":"${path}"}}\n$`));
      claimFile(context, path, "ours\n");
    });
  }
  assert.deepEqual(journal.deeds.length, 2);
  assert.deepEqual(journal.undo(), []);
  assert.match(readFileSync(fileOf(folders), "utf8"), /\{"undone":2\}\n\{"undone":1\}\n$/);
  assert.deepEqual(globSync(`${folders.run}/{a,b}`), []);
});

test("a crash in the middle of writing a file leaves nothing that is not cleared away", (t) => {
  const folders = foldersOf(t);
  using journal = Journal.open("wg0", { folders });
  const path = join(folders.run, "resolv.conf");
  journal.record({ kind: "file", path }, (context) => claimFile(context, path, "ours\n"));
  writeFileSync(path, "as it was\n");
  writeFileSync(`${path}.warren`, "our");
  assert.deepEqual(journal.undo(), []);
  assert.deepEqual(globSync(`${path}*`), [path]);
});

test("what cannot be undone stays written, and does not keep the rest from being undone", (t) => {
  const folders = foldersOf(t);
  const journal = Journal.open("wg0", { folders });
  journal.record({ kind: "mark", mark: 7 }, nothing);
  journal.record({ kind: "resolvconf", program: "/nowhere/resolvconf", record: "wg0" }, nothing);
  const [failure] = journal.undo();
  assert.match(String(failure), /\/nowhere\/resolvconf -d wg0 -f failed/);
  journal[Symbol.dispose]();
  using again = dead(folders);
  assert.deepEqual(
    again.deeds.map(({ kind }) => kind),
    ["resolvconf"],
  );
});

test("a name has one live tunnel; a dead one's deeds are found again, and an empty journal is no trace", (t) => {
  const folders = foldersOf(t);
  const first = Journal.open("wg0", { folders, file: "/etc/wireguard/wg0.conf" });
  assert.throws(
    () => Journal.open("wg0", { folders }),
    (error) => error instanceof VpnError && error.code === "name-taken" && error.message.includes(String(process.pid)),
  );
  const live = Journal.find("wg0", folders);
  assert.ok(live.kind === "live" && live.owner.file === "/etc/wireguard/wg0.conf" && live.owner.pid === process.pid);
  first.record(hooks, nothing);
  first[Symbol.dispose]();
  const second = dead(folders);
  assert.deepEqual(second.deeds, [hooks]);
  assert.deepEqual(second.takeHooks("preDown"), []);
  assert.deepEqual(second.takeHooks("postDown"), ["one", "two"]);
  assert.deepEqual(second.takeHooks("postDown"), []);
  second[Symbol.dispose]();
  assert.equal(Journal.find("wg0", folders).kind, "absent");
  assert.deepEqual(globSync("**/*", { cwd: folders.run }), ["lock"]);
});

test("a line that a crash cut off is passed over, and does not spoil the next", (t) => {
  const folders = foldersOf(t);
  const journal = Journal.open("wg0", { folders });
  journal.record(hooks, nothing);
  appendFileSync(fileOf(folders), '{"id":2,"deed":{"kind":"kill-');
  journal[Symbol.dispose]();
  const file = fileOf(folders);
  writeFileSync(file, readFileSync(file, "utf8").replace(/"pid":[0-9]+/, '"pid":1'));
  const again = dead(folders);
  assert.deepEqual(again.deeds, [hooks]);
  const live = Journal.find("wg0", folders);
  assert.ok(live.kind === "live" && live.owner.pid === process.pid, "it has changed hands");
  again.record({ kind: "mark", mark: 9 }, nothing);
  again[Symbol.dispose]();
  using third = dead(folders);
  assert.deepEqual(
    third.deeds.map(({ kind }) => kind),
    ["hooks", "mark"],
  );
});

/** Ends the journal on a full page, so that the next line needs another. */
function pad(folders: StateFolders): void {
  const file = fileOf(folders);
  appendFileSync(file, "\n".repeat(pageBytes - (statSync(file).size % pageBytes)));
}

test("what cannot be written down is not done, and spoils nothing that is written later", (t) => {
  const disk = smallDisk(t);
  if (disk === undefined) return;
  const folders = { run: disk, lasting: disk };
  const journal = Journal.open("wg0", { folders });
  const file = fileOf(folders);
  const size = () => statSync(file).size % pageBytes;
  // Room for a part of the line: the kernel then writes that and reports no error.
  appendFileSync(file, "\n".repeat(pageBytes - size() - 20));
  fillDisk(disk, 0);
  const isDone = t.mock.fn();
  assert.throws(
    () => journal.record(hooks, isDone),
    (error) => error instanceof VpnError && error.line.includes(`${file} what is to be undone (ENOSPC): make room`),
  );
  assert.equal(isDone.mock.callCount(), 0);
  makeRoom(disk);
  journal.record({ kind: "mark", mark: 9 }, nothing);
  journal[Symbol.dispose]();
  using again = dead(folders);
  assert.deepEqual(again.deeds, [{ kind: "mark", mark: 9 }]);
});

test("on a full disk nothing is begun, and everything undone", (t) => {
  const disk = smallDisk(t);
  if (disk === undefined) return;
  const folders = { run: disk, lasting: join(disk, "lasting") };
  const path = join(disk, "resolv.conf");
  const journal = Journal.open("wg0", { folders });
  journal.record({ kind: "file", path }, (context) => claimFile(context, path, "ours\n"));
  journal.record(hooks, nothing);
  journal[Symbol.dispose]();
  pad(folders);
  fillDisk(disk, 0);
  assert.throws(
    () => Journal.open("wg1", { folders }),
    /cannot write into .*wg1\.journal what is to be undone \(ENOSPC\)/,
  );
  const state = Journal.find("wg0", folders);
  assert.ok(state.kind === "dead" && state.owner.pid === process.pid);
  assert.deepEqual(state.journal.undo(), []);
  assert.deepEqual(state.journal.takeHooks("postDown"), ["one", "two"]);
  state.journal[Symbol.dispose]();
  assert.deepEqual(globSync("**/*", { cwd: disk }).sort(), ["fill", "lasting", "lock"]);
});

test("what a journal says and nobody here knows is kept, and complained of; the rest is undone", (t) => {
  for (const line of [
    "null",
    "5",
    '"x"',
    "[]",
    "{}",
    '{"id":9}',
    '{"id":9,"deed":null}',
    '{"id":9,"deed":{"kind":"future"}}',
    '{"id":9,"deed":{"kind":"rule"}}',
    '{"id":1e99,"deed":{"kind":"mark","mark":1}}',
    '{"tunnel":"wg0"}',
    '{"undone":"1"}',
    '{"reloaded":{"ok":0}}',
  ]) {
    const folders = foldersOf(t);
    const journal = Journal.open("wg0", { folders });
    journal.record({ kind: "mark", mark: 9 }, nothing);
    journal[Symbol.dispose]();
    appendFileSync(fileOf(folders), `${line}\n`);
    for (let time = 0; time < 2; time++) {
      using again = dead(folders);
      assert.deepEqual(again.deeds, time === 0 ? [{ kind: "mark", mark: 9 }] : []);
      assert.deepEqual(again.undo(), []);
      assert.ok(again.complaint?.line.includes(`does not know: ${line}: undo by hand`));
    }
    appendFileSync(fileOf(folders), '{"undone":9}\n'); // by whoever knew it
    using last = dead(folders);
    if (line.startsWith('{"id":9')) assert.equal(last.complaint, undefined, line);
  }
});

test("a journal without its first line is one all the same", (t) => {
  const folders = foldersOf(t);
  const journal = Journal.open("wg0", { folders });
  journal.record({ kind: "mark", mark: 9 }, nothing);
  const file = fileOf(folders);
  writeFileSync(file, readFileSync(file, "utf8").replace('{"tunnel"', "{tunnel"));
  assert.throws(() => Journal.find("wg0", folders), /wg0 is up, but .* does not say in which process/);
  journal[Symbol.dispose]();
  using again = dead(folders);
  assert.deepEqual(again.deeds, [{ kind: "mark", mark: 9 }]);
});

test("what lies in a journal's place is left alone, and named", (t) => {
  const folders = foldersOf(t);
  const journal = Journal.open("wg0", { folders });
  journal.record(hooks, nothing);
  const file = fileOf(folders);
  journal[Symbol.dispose]();
  rmSync(file);
  const precious = join(folders.run, "precious");
  writeFileSync(precious, "precious\n");
  for (const put of [() => symlinkSync(precious, file), () => mkdirSync(file)]) {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    put();
    for (const look of [() => Journal.find("wg0", folders), () => Journal.open("wg0", { folders })]) {
      assert.throws(look, (error) => error instanceof VpnError && error.message.startsWith(`${file} is no journal`));
    }
    using other = Journal.open("wg1", { folders });
    assert.equal(other.reserveMark(100, new Set()), 100, "it is in nobody's way");
    other.undo();
    rmSync(file, { recursive: true });
  }
  const lock = join(folders.run, "lock");
  rmSync(lock);
  symlinkSync(precious, lock);
  assert.throws(() => Journal.find("wg0", folders), new RegExp(`VpnError: ${lock} is no file`));
  assert.equal(readFileSync(precious, "utf8"), "precious\n");
  rmSync(lock);
});

test("a kill switch that no process holds is found without a journal", (t) => {
  if (!requireNamespaces(t)) return;
  const folders = foldersOf(t);
  using namespace = NetworkNamespace.create();
  namespace.run(() => {
    assert.equal(Journal.find("wg0", folders).kind, "absent");
    LastingTable.installUnheld(killSwitchTable("wg0", { mark: 7 }));
    assert.equal(Journal.find("wg1", folders).kind, "absent");
    {
      using found = dead(folders);
      assert.deepEqual(found.deeds, [{ kind: "kill-switch" }]);
    }
    using found = Journal.open("wg0", { folders });
    assert.deepEqual(found.deeds, [{ kind: "kill-switch" }], "once");
    found.undo();
    assert.equal(KillSwitch.remove("wg0"), false, "it is gone");
    KillSwitch.install("wg1", { mark: 7 });
    assert.equal(Journal.find("wg1", folders).kind, "absent", "a process that lives holds it");
    KillSwitch.remove("wg1");
  });
});

test("what was done before the machine restarted is not undone", (t) => {
  const folders = foldersOf(t);
  const journal = Journal.open("wg0", { folders });
  journal.record({ kind: "mark", mark: 9 }, nothing);
  journal[Symbol.dispose]();
  const file = fileOf(folders);
  writeFileSync(file, readFileSync(file, "utf8").replace(/"boot":"[^"]*"/, '"boot":"another"'));
  using again = dead(folders);
  assert.deepEqual(again.deeds, []);
});

test("two tunnels are never given one mark", (t) => {
  const folders = foldersOf(t);
  using first = Journal.open("wg0", { folders });
  using second = Journal.open("wg1", { folders });
  assert.equal(first.reserveMark(100, new Set([100, undefined])), 101);
  assert.equal(second.reserveMark(100, new Set([100])), 102);
  for (const journal of [first, second]) journal.undo();
});

test("how often a tunnel has read its file again is found by others", (t) => {
  const folders = foldersOf(t);
  using journal = Journal.open("wg0", { folders });
  assert.deepEqual(Journal.reloads("wg0", folders), []);
  journal.noteReload(undefined);
  journal.noteReload("the port is taken");
  assert.deepEqual(Journal.reloads("wg0", folders), [{ ok: true }, { ok: false, failure: "the port is taken" }]);
});

test("nobody else can read what is written, or write what will be undone", (t) => {
  const folders = foldersOf(t);
  using _journal = Journal.open("wg0", { folders });
  assert.deepEqual([statSync(folders.run).mode & 0o777, statSync(fileOf(folders)).mode & 0o777], [0o700, 0o600]);
  const open = foldersOf(t);
  mkdirSync(open.run);
  chmodSync(open.run, 0o777);
  assert.throws(() => Journal.open("wg0", { folders: open }), /is not a folder of this user alone/);
});

test("a name that leads elsewhere is refused", (t) => {
  const folders = foldersOf(t);
  for (const name of ["", ".", "..", "../x", "a/b", "a b", "a\0", "sixteencharacters", "$(id)", "wg0;x"]) {
    assert.throws(() => Journal.open(name, { folders }), /is not an interface name/, name);
    assert.throws(() => Journal.find(name, folders), /is not an interface name/, name);
  }
});
