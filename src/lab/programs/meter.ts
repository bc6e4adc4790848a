/**
 * Takes one TCP connection and says how much came of it from its first byte on: `meter ADDRESS PORT [MILLISECONDS]`. It
 * says `first` when that byte is there, and `received` after the given time, or on SIGINT. What is still on its way then
 * is nobody's business any more.
 */
import { createServer } from "node:net";

const [address, port, milliseconds] = process.argv.slice(2);
let bytes = 0;
let first: number | undefined;

const server = createServer((socket) => {
  socket.on("data", (chunk) => {
    if (first === undefined) {
      first = performance.now();
      console.log(JSON.stringify({ event: "first" }));
      if (milliseconds !== undefined) setTimeout(end, Number(milliseconds));
    }
    bytes += chunk.length;
  });
  socket.on("error", () => {}); // the sender may be gone first
});
server.listen(Number(port), address, () => console.log(JSON.stringify({ event: "listening" })));
process.once("SIGINT", end);

function end(): void {
  console.log(JSON.stringify({ event: "received", bytes, milliseconds: performance.now() - (first ?? 0) }));
  process.exit(0);
}
