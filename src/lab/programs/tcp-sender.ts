/**
 * Sends bytes over one TCP connection, and nothing else: `tcp-sender ADDRESS PORT`, the bytes in base64 on standard input.
 * It says `{"event":"sent"}` when the other side's kernel has taken them, and stays connected until it is killed.
 */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { fromBase64 } from "../../base/bytes.ts";

const [host, port] = process.argv.slice(2);
const bytes = fromBase64(readFileSync(0, "utf8").trim());

const socket = connect({ host, port: Number(port) }, () => {
  socket.write(bytes ?? "", () => console.log(JSON.stringify({ event: "sent" })));
});
socket.resume();
