/** A name server with one name of one address: `name-server LISTEN HOST`. Lines on standard input are its addresses to come. */
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";
import { decodeQuery, encodeAnswer } from "../../src/lab/dns-message.ts";

const [listen, host] = process.argv.slice(2);
let address: string | undefined;

const socket = createSocket("udp4");
socket.on("message", (message, from) => {
  const question = decodeQuery(message);
  if (question === undefined || address === undefined) return;
  socket.send(encodeAnswer(question, { [host]: [address] }), from.port, from.address);
});
socket.bind(53, listen, () => console.log("listening"));
createInterface({ input: process.stdin }).on("line", (line) => {
  address = line;
  console.log(`${host} is at ${line}`);
});
