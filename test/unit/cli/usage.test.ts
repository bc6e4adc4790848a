import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
const warren = (...words: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...words], { encoding: "utf8" });
  return { status, stdout, stderr };
};

test("wrong usage is one line, which names the help of the very command", () => {
  for (const [words, said] of [
    [["nonsense"], /^warren: unknown command 'nonsense' \(warren --help tells more\)\n$/],
    [["lab", "--nonsense"], /^warren: unknown option '--nonsense' \(warren lab --help tells more\)\n$/],
    [["--verbose", "up"], /^warren: missing required argument 'config' \(warren up --help tells more\)\n$/],
    [["classic", "client", "--nonsense"], /^warren: unknown option .* \(warren classic client --help tells more\)\n$/],
    [["classic"], /^warren: no command given \(warren classic --help tells more\)\n$/],
    [[], /^warren: no command given \(warren --help tells more\)\n$/],
  ] as const) {
    const { status, stdout, stderr } = warren(...words);
    assert.deepEqual({ status, stdout }, { status: 2, stdout: "" });
    assert.match(stderr, said);
  }
});
