import assert from "node:assert/strict";
import { test } from "node:test";
import { describeShell, suggestions } from "../../../src/lab/shell-account.ts";

test("warren's own commands are for a tunnel that has a control socket", () => {
  const programs = (device: string) => suggestions(device, "udp").map(({ command }) => command.split(" ")[0]);
  assert(programs("wg0").includes("warren"));
  assert(!programs("tun0").includes("warren"));
});

test("each thing to try says which programs it needs, and names its interface", () => {
  for (const { needs, command } of suggestions("tun0", "tcp port 5555")) {
    const used = ["ping", "ip", "getent", "tracepath", "traceroute", "tcpdump"].filter((program) =>
      new RegExp(`(^|; )${program} `).test(command),
    );
    assert.deepEqual(needs.toSorted(), used.toSorted(), command);
    assert(!command.includes("wg0"), command);
  }
});

test("what only root can do is marked: tcpdump, which changes its user", () => {
  for (const { needs, root } of suggestions("wg0", "udp")) assert.equal(root === true, needs.includes("tcpdump"));
});

test("a line to try fits into 80 columns, with what it is for beside it or below", () => {
  const lines = describeShell("/bin/bash", suggestions("wg0", "udp port 51820")).split("\n");
  const ofTcpdump = lines.findIndex((line) => line.includes("tcpdump"));
  assert.match(lines[ofTcpdump + 1], /^ {8,}a ping before it is wrapped$/);
  assert(lines.some((line) => /^ {4}ip route {2,}the routing table/.test(line)));
  const tooLong = lines.filter((line) => line.length > 80 && !line.includes(" & sleep 1; "));
  assert.deepEqual(tooLong, []);
});

test("where nothing is installed nothing is to be tried, and how to leave is said all the same", () => {
  const text = describeShell("/bin/sh", []);
  assert.match(text, /\/bin\/sh on the client.*Leave with exit or Ctrl-D/s);
  assert(!text.includes("Try"));
});
