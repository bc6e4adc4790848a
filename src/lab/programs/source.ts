/** Sends over one TCP connection as much as it takes: `source ADDRESS PORT MILLISECONDS`. */
import { connect } from "node:net";

const [address, port, milliseconds] = process.argv.slice(2);
const chunk = Buffer.alloc(262_144, 0x77);
let bytes = 0;

const socket = connect({ host: address, port: Number(port) }, () => {
  const deadline = performance.now() + Number(milliseconds);
  const fill = () => {
    for (;;) {
      if (performance.now() >= deadline) {
        socket.off("drain", fill);
        socket.end();
        return;
      }
      bytes += chunk.length;
      if (!socket.write(chunk)) return;
    }
  };
  socket.on("drain", fill);
  fill();
});
socket.on("close", () => console.log(JSON.stringify({ event: "sent", bytes })));
socket.resume();
