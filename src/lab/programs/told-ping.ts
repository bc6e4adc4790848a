/**
 * One ping that tells what its two socket calls were given and gave back: `told-ping ADDRESS PATTERN`, the pattern in
 * hexadecimal. It exits 1 where no reply came within four seconds. Of a tunnel it knows nothing.
 */
import { anyPort, encodeRequest, openEchoSocket, sequenceOfReply } from "../echo-socket.ts";

const patienceMs = 4000;

const [address, pattern] = process.argv.slice(2);
const ipv6 = address.includes(":");
const request = encodeRequest(ipv6, 1, Buffer.from(pattern, "hex"));

const socket = await openEchoSocket(ipv6);
socket.on("error", () => {}); // an unreachable destination counts as a missing reply
socket.on("message", (message, { address: from }) => {
  if (sequenceOfReply(ipv6, message) !== 1) return;
  console.log(JSON.stringify({ event: "received", from, bytes: message.toString("hex") }));
  process.exit(0);
});
socket.send(request, anyPort, address);
console.log(JSON.stringify({ event: "sent", to: address, bytes: request.toString("hex") }));
setTimeout(() => process.exit(1), patienceMs);
