import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { WebSite } from "../../../src/transport/web-site.ts";

const folder = mkdtempSync(join(tmpdir(), "warren-site-"));
after(() => rmSync(folder, { recursive: true }));
mkdirSync(join(folder, "site/sub"), { recursive: true });
writeFileSync(join(folder, "secret"), "secret");
writeFileSync(join(folder, "site/index.html"), "<p>home");
writeFileSync(join(folder, "site/sub/index.html"), "<p>sub");
writeFileSync(join(folder, "site/a b.txt"), "text");
writeFileSync(join(folder, "site/.hidden"), "secret");
symlinkSync("../secret", join(folder, "site/link"));

async function ask(
  site: WebSite,
  paths: readonly string[],
  method = "GET",
): Promise<(string | number | undefined)[][]> {
  const server = createServer((incoming, response) => site.answer(incoming, response)).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const answers: (string | number | undefined)[][] = [];
    for (const path of paths) {
      const { promise, resolve, reject } = Promise.withResolvers<import("node:http").IncomingMessage>();
      request({ host: "127.0.0.1", port, path, method, agent: false }, resolve).on("error", reject).end();
      const response = await promise;
      answers.push([response.statusCode, response.headers["content-type"], await text(response)]);
    }
    return answers;
  } finally {
    server.close();
  }
}

test("a folder is served as it was read, and nothing outside of it", async () => {
  const site = WebSite.read(join(folder, "site"));
  assert.deepEqual(await ask(site, ["/", "/index.html?q", "/sub/", "/a%20b.txt"]), [
    [200, "text/html; charset=utf-8", "<p>home"],
    [200, "text/html; charset=utf-8", "<p>home"],
    [200, "text/html; charset=utf-8", "<p>sub"],
    [200, "text/plain; charset=utf-8", "text"],
  ]);
  const others = ["/../secret", "/%2e%2e/secret", "/link", "/.hidden", "/sub", "/%ff", "/constructor", "//", "*"];
  for (const [status, , body] of await ask(site, others)) {
    assert.equal(status, 404);
    assert.doesNotMatch(String(body), /secret/);
  }
});

test("a file is the only page, and without one there is a page that says nothing", async () => {
  const site = WebSite.read(join(folder, "site/a b.txt"));
  assert.deepEqual(await ask(site, ["/"]), [[200, "text/plain; charset=utf-8", "text"]]);
  const [[status, , body], [missing]] = await ask(WebSite.plain(), ["/", "/x"]);
  assert.deepEqual([status, missing], [200, 404]);
  assert.doesNotMatch(String(body), /warren|wireguard|vpn/i);
});

test("pages are read, not written", async () => {
  assert.deepEqual(await ask(WebSite.plain(), ["/"], "POST"), [[405, undefined, ""]]);
  const [[status, , body]] = await ask(WebSite.plain(), ["/"], "HEAD");
  assert.deepEqual([status, body], [200, ""]);
});

test("a page that is not there is named", () => {
  assert.throws(() => WebSite.read(join(folder, "none")), { code: "not-available", message: /none: no such file/ });
});
