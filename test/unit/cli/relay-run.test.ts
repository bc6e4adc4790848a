import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { type RelayOptions, runRelay } from "../../../src/cli/relay-run.ts";
import { CertificateFiles } from "../../interop/relay-process.ts";

const udp = "udp://127.0.0.1:51821";

test("what makes no sense together is refused before anything is opened", async () => {
  for (const [urls, options, message] of [
    [[udp, "udp://127.0.0.1:51820"], {}, /both ends are UDP/],
    [["tcp://127.0.0.1:1", "tcp://127.0.0.1:2"], {}, /one end of a relay is UDP/],
    [[udp, udp, "tcp://127.0.0.1:2"], {}, /one end of a relay is UDP/],
    [[udp, "any://127.0.0.1:2"], {}, /names no transport/],
    [[udp, "ftp://127.0.0.1:2"], {}, /unknown scheme/],
    [[udp, "tcp://127.0.0.1:2"], { mark: "-1" }, /not a number/],
    [[udp, "tcp://127.0.0.1:2"], { mark: "0x1ffffffff" }, /not a number/],
    [[udp, "tcp://127.0.0.1:2"], { cert: "x" }, /--cert means nothing on the client's side/],
    [[udp, "tcp://127.0.0.1:2"], { maxPerSource: "3" }, /--max-per-source means nothing on the client's side/],
    [["any://*:2", udp], {}, /speaks TLS/],
    [["tcp://*:2", udp], { ca: "x" }, /--ca means nothing on the server's side/],
    [["tcp://localhost:2", udp], {}, /names no address of this machine/],
    [["tcp://*:2", udp], { maxConnections: "0" }, /not a number from 1/],
  ] satisfies [string[], RelayOptions, RegExp][]) {
    const [endpoint = "", ...listen] = [...urls].reverse();
    await assert.rejects(runRelay(listen.reverse(), endpoint, options), { code: "invalid-argument", message });
  }
});

test("what cannot be done is said with its cause", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as { port: number };
  using files = new CertificateFiles();
  const path = files.write("path", "no path");
  for (const [listen, endpoint, options, message] of [
    [`tcp://127.0.0.1:${port}`, udp, {}, /EADDRINUSE/],
    ["tcp://192.0.2.77:1234", udp, {}, /EADDRNOTAVAIL/],
    ["udp://192.0.2.77:1234", "tcp://127.0.0.1:2", {}, /EADDRNOTAVAIL/],
    ["any://127.0.0.1:0", udp, { cert: "/nowhere", key: "/nowhere" }, /cannot read \/nowhere/],
    ["any://127.0.0.1:0", udp, { cert: files.key, key: files.cert }, /no certificate with its key/],
    ["tcp://127.0.0.1:0", udp, { webPage: "/nowhere" }, /cannot read the web page \/nowhere/],
    ["ws://127.0.0.1:0", udp, { pathFile: path }, /is no path/],
    [udp, "tls://127.0.0.1:2", { ca: "/nowhere" }, /cannot read \/nowhere/],
  ] satisfies [string, string, RelayOptions, RegExp][]) {
    await assert.rejects(runRelay([listen], endpoint, options), { message });
  }
  taken.close();
});
