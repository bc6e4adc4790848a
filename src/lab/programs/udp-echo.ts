/** Sends every datagram back to where it came from: `udp-echo ADDRESS PORT`. */
import { createSocket } from "node:dgram";

const [address, port] = process.argv.slice(2);
const socket = createSocket("udp4");
socket.on("message", (message, from) => socket.send(message, from.port, from.address));
socket.bind(Number(port), address, () => console.log(JSON.stringify({ event: "listening" })));
