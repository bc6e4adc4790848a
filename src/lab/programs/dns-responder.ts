/** The name server on the dns host: `dns-responder ADDRESS... [--silent]`. Silent, it hears and says nothing. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { decodeQuery, encodeAnswer } from "../dns-message.ts";
import { zone } from "../zone.ts";

const addresses = process.argv.slice(2).filter((argument) => argument !== "--silent");
const silent = process.argv.includes("--silent");

for (const address of addresses) {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.on("message", (message, from) => {
    const question = decodeQuery(message);
    if (question !== undefined && !silent) socket.send(encodeAnswer(question, zone), from.port, from.address);
  });
  socket.bind(53, address);
  await once(socket, "listening");
}
console.log(JSON.stringify({ event: "listening" }));
