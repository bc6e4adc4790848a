/**
 * Takes one TCP connection and says how much came of it in a given time: `meter ADDRESS PORT MILLISECONDS`. The time
 * begins with the first byte. What is still on its way then is nobody's business any more.
 */
import { createServer } from "node:net";

const [address, port, milliseconds] = process.argv.slice(2);

const server = createServer((socket) => {
  let bytes = 0;
  let first: number | undefined;
  const end = () => {
    const elapsed = performance.now() - (first ?? 0);
    console.log(JSON.stringify({ event: "received", bytes, milliseconds: elapsed }));
    process.exit(0);
  };
  socket.on("data", (chunk) => {
    if (first === undefined) {
      first = performance.now();
      setTimeout(end, Number(milliseconds));
    }
    bytes += chunk.length;
  });
  socket.on("error", () => {}); // the sender may be gone first
});
server.listen(Number(port), address, () => console.log(JSON.stringify({ event: "listening" })));
