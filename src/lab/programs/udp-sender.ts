/**
 * Sends datagrams from a port of its own, one after another: `udp-sender ADDRESS PORT`, the datagrams in base64 on
 * standard input, one a line. It says `{"event":"sent"}` when all are on their way.
 */
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { fromBase64 } from "../../base/bytes.ts";

const [address, port] = process.argv.slice(2);
const datagrams = readFileSync(0, "utf8")
  .trim()
  .split("\n")
  .flatMap((line) => fromBase64(line) ?? []);

const socket = createSocket("udp4");
for (const datagram of datagrams) {
  await new Promise((resolve) => socket.send(datagram, Number(port), address, resolve));
}
console.log(JSON.stringify({ event: "sent" }));
socket.close();
