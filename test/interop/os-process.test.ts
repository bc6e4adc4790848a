import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { watchLink } from "../../src/os/link-watch.ts";
import { requireNamespaces, requireProgram } from "../requirements.ts";
import { Host } from "./small-network.ts";

const source = (file: string) => JSON.stringify(new URL(`../../src/os/${file}`, import.meta.url).href);

const MS_REC_SHARED = 0x4000 | 0x10_0000;

/** Runs a program given as text in a process of its own. */
function start(program: string): ChildProcess {
  return spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: ["pipe", "pipe", "inherit"] });
}

async function firstLine(child: ChildProcess): Promise<string> {
  const [chunk] = await once(child.stdout ?? assert.fail(), "data");
  return String(chunk).trim();
}

test("a process ends with its parent, however that ends", { timeout: 20_000 }, async () => {
  // The grandchild keeps our pipe open for as long as it lives.
  const grandchild = `
    import { dieWithParent } from ${source("process.ts")};
    dieWithParent(process.ppid);
    console.log(process.pid);
    setInterval(() => {}, 1000);`;
  const parent = start(`
    import { spawn } from "node:child_process";
    spawn(process.execPath, ["--input-type=module", "--eval", ${JSON.stringify(grandchild)}], { stdio: "inherit" });`);
  const pid = Number(await firstLine(parent));
  assert.ok(pid > 0);
  process.kill(pid, 0);
  parent.kill("SIGKILL");
  await once(parent.stdout ?? assert.fail(), "close");
});

test("a process whose parent has gone already ends at once", { timeout: 20_000 }, async () => {
  const child = start(`
    import { dieWithParent } from ${source("process.ts")};
    dieWithParent(process.ppid + 1);
    console.log("still here");`);
  const [[, signal]] = await Promise.all([once(child, "exit"), once(child.stdout ?? assert.fail(), "close")]);
  assert.equal(signal, "SIGKILL");
});

test("a private /run is empty, and what is put there nobody else sees", { timeout: 20_000 }, async (t) => {
  if (!requireNamespaces(t)) return;
  const name = `warren-test-${process.pid}`;
  const inner = `
    import { existsSync, readdirSync, writeFileSync } from "node:fs";
    import { execFileSync } from "node:child_process";
    import { mountPrivateRun } from ${source("process.ts")};
    mountPrivateRun();
    const before = readdirSync("/run");
    writeFileSync("/run/${name}", "");
    const inherited = execFileSync("ls", ["/run"], { encoding: "utf8" }).trim();
    console.log(JSON.stringify({ before, inherited }));`;
  // Around it a namespace like that of a host with systemd, where a mount made carelessly spreads; and away from the host.
  const outer = start(`
    import { execFileSync } from "node:child_process";
    import { existsSync } from "node:fs";
    import { libc } from ${source("libc.ts")};
    import { mountPrivateRun } from ${source("process.ts")};
    mountPrivateRun();
    if (libc.mount("none", "/", "none", ${MS_REC_SHARED}, null) !== 0) throw new Error("not shared");
    const seen = JSON.parse(execFileSync(process.execPath, ["--input-type=module", "--eval", ${JSON.stringify(inner)}]));
    console.log(JSON.stringify({ ...seen, spread: existsSync("/run/${name}") }));`);
  const seen: unknown = JSON.parse(await firstLine(outer));
  assert.deepEqual(seen, { before: [], inherited: name, spread: false });
  assert.equal(existsSync(`/run/${name}`), false);
});

test("a process that is killed leaves neither namespace, nor device, nor table", { timeout: 20_000 }, async (t) => {
  if (!requireNamespaces(t)) return;
  const nft = requireProgram(t, "nft", "nftables");
  if (nft === undefined) return;
  using host = new Host();
  const child = host.namespace.run(() =>
    start(`
      import { InterfaceConfig } from ${source("interface-config.ts")};
      import { NetworkNamespace } from ${source("namespace.ts")};
      import { InstalledTable } from ${source("nftables.ts")};
      import { TunDevice } from ${source("tun-device.ts")};
      const inner = NetworkNamespace.create();
      const config = InterfaceConfig.open();
      config.links.createVeth({ name: "cable", peerName: "end", peerNamespace: inner.fd });
      const table = InstalledTable.install({ name: "warren", chains: [] });
      const tun = TunDevice.open({ name: "wg0" });
      console.log(table.owned ? "owned" : "not owned");
      setInterval(() => [inner, config, table, tun], 1000);`),
  );
  const owned = (await firstLine(child)) === "owned";
  assert.deepEqual(
    host.config.links
      .list()
      .map(({ name }) => name)
      .sort(),
    ["cable", "lo", "wg0"],
  );
  const deleted = Promise.withResolvers<void>();
  const index = host.indexOf("cable");
  using _watch = host.namespace.run(() => watchLink(index, ({ kind }) => kind === "deleted" && deleted.resolve()));
  const stayAwake = setInterval(() => {}, 1000);
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await Promise.all([exited, deleted.promise]);
  clearInterval(stayAwake);
  assert.deepEqual(
    host.config.links.list().map(({ name }) => name),
    ["lo"],
  );
  if (!owned) return; // a kernel before 5.12 leaves it for the next installation
  const rules = host.namespace.run(() => execFileSync(nft, ["list", "ruleset"], { encoding: "utf8" }));
  assert.equal(rules, "");
});
