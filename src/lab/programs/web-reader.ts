/**
 * Reads a page with a password, over HTTP: `web-reader ADDRESS PORT PATH NAME:PASSWORD`. It knows of no tunnel. It says
 * what came: `{"event":"page","status":200,"text":"..."}`.
 */
import { request } from "node:http";

const [host, port, path, credentials] = process.argv.slice(2);
const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;
const headers = { host: "meadow.warren.example", authorization, connection: "close" };

const asked = request({ host, port: Number(port), path, headers, setDefaultHeaders: false }, (response) => {
  let text = "";
  response.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  response.on("end", () => console.log(JSON.stringify({ event: "page", status: response.statusCode, text })));
});
asked.end();
