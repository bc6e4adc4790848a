import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { requireProgram } from "../requirements.ts";

const root = dirname(dirname(import.meta.dirname));
const main = join(root, "src/cli/main.ts");
const oneLine = /^warren: [^\n]+\n$/;
// RFC 7748 §6.1: Alice's key pair.
const alice = {
  secret: "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
  public: "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
};

function warren(parameters: readonly string[], input = "") {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...parameters], { input, encoding: "utf8" });
  return { status, stdout, stderr };
}

test("help and version go to standard output", () => {
  const help = warren(["--help"]);
  assert.equal(help.status, 0);
  assert.match(help.stdout, /^Usage: warren .*\n {2}lab .*\n {2}up .*\n {2}genkey .*\n {2}pubkey /s);
  assert.equal(help.stderr, "");
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  assert.deepEqual(warren(["--version"]), { status: 0, stdout: `${version}\n`, stderr: "" });
});

test("wrong usage is one line and status 2", () => {
  for (const [parameters, complaint] of [
    [[], /no command given/],
    [["--verbose"], /no command given/],
    [["--"], /no command given/],
    [["genkye"], /unknown command 'genkye' \(Did you mean genkey\?\)/],
    [["--nope"], /unknown option '--nope'/],
    [["genkey", "more"], /too many arguments/],
    [["up"], /missing required argument 'config'/],
  ] satisfies [string[], RegExp][]) {
    const { status, stdout, stderr } = warren(parameters);
    assert.equal(status, 2, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, oneLine);
    assert.match(stderr, complaint);
    assert.match(stderr, /\(warren( [a-z]+)* --help tells more\)/);
  }
});

test("a failure is one line and status 1; --verbose says where it comes from", () => {
  const parameters = ["up", "--foreground", "/nowhere/wg0.conf"];
  const brief = warren(parameters);
  assert.equal(brief.status, 1);
  assert.match(brief.stderr, /^warren: cannot read \/nowhere\/wg0\.conf: [^\n]+\n$/);
  const verbose = warren([...parameters, "--verbose"]);
  assert.equal(verbose.status, 1);
  assert.ok(verbose.stderr.startsWith(brief.stderr));
  assert.match(verbose.stderr, /\n {4}at .*\[cause\]: Error: ENOENT/s);
});

test("what is wrong with an argument is wrong usage, what is wrong with a configuration is not", () => {
  const up = ["up", "-", "--foreground", "--name"];
  const named = warren([...up, "a/b"], `[Interface]\nPrivateKey = ${alice.secret}\n`);
  assert.equal(named.status, 2);
  assert.match(named.stderr, /^warren: "a\/b" is not an interface name[^\n]*\n$/);
  const broken = warren(["lab", "--break", "everything"]);
  assert.equal(broken.status, 2);
  assert.match(broken.stderr, /^warren: the stage wireguard has no part everything to break: choose nat, [^\n]*\n$/);
  const configured = warren([...up, "wg0"], "[Interface]\nPrivateKey = short\n");
  assert.equal(configured.status, 1);
  assert.match(configured.stderr, oneLine);
});

test("output that cannot be written is one line and status 1", (t) => {
  const full = openSync("/dev/full", "w");
  t.after(() => closeSync(full));
  for (const command of ["genkey", "genpsk", "--help", "--version"]) {
    const stdio = ["ignore", full, "pipe"] as const;
    const { status, stderr } = spawnSync(process.execPath, [main, command], { stdio: [...stdio], encoding: "utf8" });
    assert.deepEqual([status, stderr], [1, "warren: cannot write the output: no space left on device\n"], command);
  }
});

test("genkey prints clamped keys and genpsk any, each a new one", () => {
  const keys = Array.from({ length: 3 }, () => warren(["genkey"]).stdout);
  for (const text of keys) {
    assert.match(text, /^[A-Za-z0-9+/]{43}=\n$/);
    const key = Buffer.from(text, "base64");
    assert.equal(key.length, 32);
    assert.deepEqual([key[0] & 7, key[31] & 0xc0], [0, 0x40], "RFC 7748 §5");
  }
  assert.equal(new Set(keys).size, keys.length);
  const shared = Array.from({ length: 3 }, () => Buffer.from(warren(["genpsk"]).stdout, "base64"));
  assert.equal(new Set(shared.map(String)).size, shared.length);
  assert.deepEqual(
    shared.map(({ length }) => length),
    [32, 32, 32],
  );
});

test("pubkey derives what RFC 7748 says, whatever blanks surround the key", () => {
  for (const input of [alice.secret, `${alice.secret}\n`, `  ${alice.secret} \r\n`]) {
    assert.deepEqual(warren(["pubkey"], input), { status: 0, stdout: `${alice.public}\n`, stderr: "" });
  }
});

test("wg agrees about public keys", (t) => {
  const wg = requireProgram(t, "wg", "wireguard-tools");
  if (wg === undefined) return;
  const { stdout: secret } = warren(["genkey"]);
  const theirs = spawnSync(wg, ["pubkey"], { input: secret, encoding: "utf8" });
  assert.equal(theirs.status, 0, theirs.stderr);
  assert.equal(warren(["pubkey"], secret).stdout, theirs.stdout);
});

test("pubkey refuses what is no key, without quoting it", () => {
  const secretLike = `${alice.secret.slice(0, 40)}!!!=`;
  for (const input of ["", "\n", "garbage", secretLike, `${alice.secret} ${alice.secret}`, "A".repeat(1_000_000)]) {
    const { status, stdout, stderr } = warren(["pubkey"], input);
    assert.equal(status, 1);
    assert.equal(stdout, "");
    assert.match(stderr, oneLine);
    assert.ok(!stderr.includes(alice.secret.slice(0, 8)));
  }
});

test("pubkey does not read for ever", (t) => {
  const zeros = openSync("/dev/zero", "r");
  t.after(() => closeSync(zeros));
  const stdio = [zeros, "pipe", "pipe"] as const;
  const { status, stderr } = spawnSync(process.execPath, [main, "pubkey"], { stdio: [...stdio], timeout: 20_000 });
  assert.equal(status, 1);
  assert.match(String(stderr), /^warren: standard input is no private key: [^\n]+\n$/);
});

test("a secret that goes into a file everyone may read is warned about", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "warren-keys-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [mode, warned] of [
    [0o600, false],
    [0o644, true],
  ] as const) {
    const path = join(folder, mode.toString(8));
    const file = openSync(path, "w", mode);
    const { stderr } = spawnSync(process.execPath, [main, "genkey"], {
      stdio: ["ignore", file, "pipe"],
      encoding: "utf8",
    });
    closeSync(file);
    assert.equal(readFileSync(path, "utf8").length, 45);
    assert.equal(/everyone may read/.test(stderr), warned);
  }
});

test("a reader who has gone is no error", async () => {
  const child = spawn("sh", ["-c", 'read gate; exec "$0" "$1" --help', process.execPath, main]);
  await once(child.stdout.destroy(), "close");
  child.stdin.end("open\n");
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const [status] = (await once(child, "close")) as [number | null];
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
});
