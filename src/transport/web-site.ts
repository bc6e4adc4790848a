/**
 * The ordinary web page: what whoever comes to the port with a browser sees, or with a program that tries whether this
 * is a web server. One file, a folder, or a page that says nothing. All of it is read at the start and kept in memory: a
 * request opens no file, so none can be reached that was not meant, and a thousand requests cost no descriptor.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join } from "node:path";
import { getSystemErrorMessage } from "node:util";
import { VpnError } from "../base/errors.ts";

interface Page {
  readonly type: string;
  readonly body: Buffer;
}

const mostBytes = 32 * 1024 * 1024;
const mostFiles = 2000;
const html = "text/html; charset=utf-8";
const mediaTypes: Readonly<Record<string, string>> = {
  ".html": html,
  ".htm": html,
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".txt": "text/plain; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
};

const plain = (title: string, text: string): string =>
  `<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>${title}</title></head>\n<body><h1>${title}</h1><p>${text}</p></body>\n</html>\n`;

export class WebSite {
  readonly #pages: ReadonlyMap<string, Page>;
  readonly #notFound: Page = { type: html, body: Buffer.from(plain("Not Found", "There is no such page.")) };

  private constructor(pages: ReadonlyMap<string, Page>) {
    this.#pages = pages;
  }

  /** A page without content. */
  static plain(): WebSite {
    return new WebSite(new Map([["/", { type: html, body: Buffer.from(plain("Welcome", "This page is empty.")) }]]));
  }

  /** A file, which is then the only page, or a folder, where `index.html` stands for its folder. Throws `not-available`. */
  static read(path: string): WebSite {
    try {
      if (!statSync(path).isDirectory()) return new WebSite(new Map([["/", readPage(path)]]));
      const pages = new Map<string, Page>();
      readFolder(path, "/", pages, { bytes: 0 });
      return new WebSite(pages);
    } catch (error) {
      if (error instanceof VpnError) throw error;
      const { errno } = error as NodeJS.ErrnoException;
      const why = errno === undefined ? String(error) : getSystemErrorMessage(errno);
      throw new VpnError("not-available", `cannot read the web page ${path}: ${why}`, { cause: error });
    }
  }

  answer({ method, url = "/" }: IncomingMessage, response: ServerResponse): void {
    if (method !== "GET" && method !== "HEAD") {
      response.writeHead(405, { Allow: "GET, HEAD", Connection: "close", "Content-Length": 0 }).end();
      return;
    }
    const page = this.#pages.get(decode(url.replace(/[?#].*$/s, "")));
    const { type, body } = page ?? this.#notFound;
    response.writeHead(page === undefined ? 404 : 200, { "Content-Type": type, "Content-Length": body.length });
    response.end(method === "HEAD" ? undefined : body);
  }
}

function readFolder(folder: string, at: string, pages: Map<string, Page>, total: { bytes: number }): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name.startsWith(".")) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) readFolder(path, `${at}${entry.name}/`, pages, total);
    if (!entry.isFile()) continue; // a symbolic link may lead anywhere
    const page = readPage(path);
    total.bytes += page.body.length;
    if (total.bytes > mostBytes || pages.size >= mostFiles) {
      throw new VpnError("invalid-argument", `the web pages are more than ${mostBytes} bytes or ${mostFiles} files`, {
        remedy: "name a smaller folder, or serve it from a web server in front",
      });
    }
    pages.set(`${at}${entry.name}`, page);
    if (entry.name === "index.html") pages.set(at, page);
  }
}

function readPage(path: string): Page {
  return { type: mediaTypes[extname(path).toLowerCase()] ?? "application/octet-stream", body: readFileSync(path) };
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
