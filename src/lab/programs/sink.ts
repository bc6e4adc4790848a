/** Swallows one TCP connection and says how much came in how long: `sink ADDRESS PORT`. */
import { createServer } from "node:net";

const [address, port] = process.argv.slice(2);

const server = createServer((socket) => {
  let bytes = 0;
  let first = 0;
  socket.on("data", (chunk) => {
    if (bytes === 0) first = performance.now();
    bytes += chunk.length;
  });
  socket.on("end", () => {
    console.log(JSON.stringify({ event: "received", bytes, milliseconds: performance.now() - first }));
    socket.end();
    server.close();
  });
});
server.listen(Number(port), address, () => console.log(JSON.stringify({ event: "listening" })));
