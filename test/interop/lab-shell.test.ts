/** `warren lab --shell`: a learner's shell on the client while the VPN is up, by a terminal and by a pipe. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { LabRecord } from "../../src/lab/record.ts";
import type { ShellSteps } from "../../src/lab/shell-account.ts";
import { requireProgram, requireThat } from "../requirements.ts";
import {
  asNobody,
  canBeNobody,
  canUnshare,
  detailsOf,
  type LabProcess,
  type LabSurroundings,
  lab,
  main,
  processesMarked,
} from "./lab-process.ts";

const timeout = 300_000; // for all of them, on one slow CPU
const skip = process.env.WARREN_REQUIRE_PEERS !== "1" && !canUnshare() && "namespaces cannot be made here";

describe("warren lab --shell", { concurrency: 2, timeout, skip }, () => {
  for (const { who, prefix } of [
    { who: "root", prefix: [] },
    { who: "an ordinary user", prefix: asNobody },
  ]) {
    test(`${who} has ordinary tools on the client, names of the lab's, and the tunnel`, async (t) => {
      if (prefix === asNobody && !requireThat(t, canBeNobody(t), "it needs root and setpriv")) return;
      const run = shell(t, ["--shell"], { prefix, env: { SHELL: "/bin/sh" } });
      run.child.stdin?.end(
        [
          "echo nameserver: $(cat /etc/resolv.conf)",
          "echo hosts: $(getent ahostsv4 server | head -n 1), $(getent hosts burrow.warren.example)",
          "echo devices: $(ls /proc/sys/net/ipv4/conf | tr '\\n' ' ')",
          `"$NODE" -e 'require("dns").lookup("server", 4, (_, found) => console.log("node:", found))'`,
          "echo warren: $(warren --version)",
          "echo peer: $(warren show wg0 | grep endpoint)", // of the client's tunnel: the server's is elsewhere
          "yes | head -n 1 >/dev/null", // which says something where SIGPIPE is ignored
          "exit 7",
        ].join("\n"),
      );
      const { status, output, errors } = await run.ended;
      assert.deepEqual({ status, errors }, { status: 0, errors: "" }, "the shell's own status is not the lab's");
      assert.match(output, /^nameserver: nameserver 8\.8\.8\.8$/m);
      assert.match(output, /^hosts: 203\.0\.113\.10 .*, 2001:db8:80::80 burrow\.warren\.example$/m);
      assert.match(output, /^devices: .*wg0/m);
      assert.match(output, /^node: 203\.0\.113\.10$/m);
      assert.match(output, /^warren: \d+\.\d+\.\d+/m);
      assert.match(output, /^peer: endpoint: 203\.0\.113\.10:51820$/m);
      assert.match(output, /^✓ shell .*\/bin\/sh on the client, .* ended with status 7$/m);
      assert.match(output, /^✓ teardown /m);
      await run.gone();
    });
  }

  for (const stage of ["wireguard", "classic"]) {
    test(`${stage}: everything that it says to try works`, async (t) => {
      if (requireProgram(t, "ping", "iputils-ping") === undefined) return;
      const run = shell(t, ["--shell", "--stage", stage], { env: { SHELL: "/bin/sh" } });
      await run.says("in /etc/hosts.\n");
      const commands = [...run.output().matchAll(/^ {4}(\w+ \S.*?) {2,}\S.*$/gm)].map(([, command]) => command);
      const tried = commands.filter((command) => run.output().split("Try\n")[1].includes(command));
      assert(tried.length >= 4, tried.join("\n"));
      run.child.stdin?.end(tried.map((command) => `${command}; echo "done $? ${command.split(" ")[0]}"\n`).join(""));
      const { status, output } = await run.ended;
      assert.equal(status, 0);
      const ends = [...output.matchAll(/^done (\d+) (\w+)$/gm)].map(([, code, program]) => `${program} ${code}`);
      assert.deepEqual(
        ends,
        tried.map((command) => `${command.split(" ")[0]} 0`),
        output,
      );
      assert.match(output, /^3 packets transmitted, 3 received/m);
    });
  }

  test("its record says which shell it was, and nothing else is on standard output", async (t) => {
    const run = shell(t, ["--shell", "--json"], { env: { SHELL: "/usr/sbin/nologin" } });
    run.child.stdin?.end("echo a word\n");
    const { status, output, errors } = await run.ended;
    assert.equal(status, 0);
    const record: LabRecord = JSON.parse(output);
    const { program, terminal, status: own, nameServer } = detailsOf<ShellSteps>(record)("shell");
    assert.deepEqual([program, terminal, own, nameServer], ["/bin/sh", false, 0, "8.8.8.8"]);
    assert.match(errors, /^a word$/m);
  });

  test("what it leaves running ends with it", async (t) => {
    const run = shell(t, ["--shell"], { env: { SHELL: "/bin/sh" } });
    run.child.stdin?.end("setsid sleep 1000 >/dev/null 2>&1 &\necho started\n");
    const { status, output } = await run.ended;
    assert.equal(status, 0);
    assert.match(output, /^started$/m);
    assert.deepEqual(processesMarked(run.mark), []);
  });

  test("it dies with the lab, and whatever runs in it", async (t) => {
    const run = shell(t, ["--shell"], { env: { SHELL: "/bin/sh" } });
    run.child.stdin?.write("sleep 1000 &\necho started\nsleep 1000\n");
    await run.says("started\n");
    await started(run, "sleep", 2);
    run.child.kill("SIGKILL");
    await run.gone();
  });

  test("on a terminal there is a prompt, Ctrl-C is the shell's own, and leaving takes everything down", async (t) => {
    if (requireProgram(t, "script", "bsdutils") === undefined) return;
    const prefix = ["sh", "-c", `exec script -qec 'exec "$NODE" "$MAIN" lab --shell' /dev/null`];
    const run = shell(t, [], {
      prefix,
      env: { NODE: process.execPath, MAIN: main, SHELL: "/bin/sh", TERM: "dumb" },
    });
    await run.says("[client, VPN up] $ ");
    run.child.stdin?.write("tty && sleep 1000\n");
    await run.says("/dev/pts/");
    await started(run, "sleep", 1);
    run.child.stdin?.write("\u0003");
    run.child.stdin?.write('echo "still here: $((6 * 7))"\n');
    await run.says("still here: 42");
    run.child.stdin?.write("exit 3\n");
    const { status, output } = await run.ended;
    assert.equal(status, 0, output);
    assert.match(output, /✓ shell .* ended with status 3/);
    assert.match(output, /✓ teardown /);
    await run.gone();
  });

  test("one cannot follow a ping and have a shell at once", async () => {
    const { status, errors } = await lab(["--shell", "--trace"]).ended;
    assert.equal(status, 2);
    assert.match(errors, /^warren: [^\n]*--shell[^\n]*--trace[^\n]*\n$/);
  });
});

/** A run that ends with its test, however that ends. */
function shell(t: TestContext, parameters: readonly string[], surroundings: LabSurroundings): LabProcess {
  const run = lab(parameters, { ...surroundings, input: "pipe" });
  t.after(() => run.child.kill("SIGKILL"));
  return run;
}

/** Resolves when so many processes of this program run; the kernel tells nobody but a parent, so this looks. */
async function started({ mark }: LabProcess, program: string, count: number): Promise<void> {
  const deadline = performance.now() + 5000;
  const running = () => processesMarked(mark).filter((pid) => commandOf(pid) === program).length;
  while (running() < count && performance.now() < deadline) await delay(10);
  assert.equal(running(), count, `${program} runs`);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return ""; // gone meanwhile
  }
}
