/**
 * A ping for machines that have none: `ping ADDRESS COUNT INTERVAL_MS PATTERN`, the pattern in hexadecimal. It prints
 * what the other one prints and exits 1 unless every reply came within three seconds.
 */
import { anyPort, encodeRequest, openEchoSocket, sequenceOfReply } from "../echo-socket.ts";

const patienceMs = 3000;

const [address, count, intervalMs, pattern] = process.argv.slice(2);
const ipv6 = address.includes(":");
const fill = Buffer.from(pattern, "hex");
const sentAt = new Map<number, number>();
let missing = Number(count);

const socket = await openEchoSocket(ipv6);
socket.on("message", (message) => {
  const sequence = sequenceOfReply(ipv6, message);
  const start = sequence === undefined ? undefined : sentAt.get(sequence);
  if (sequence === undefined || start === undefined) return;
  sentAt.delete(sequence);
  const milliseconds = (performance.now() - start).toFixed(3);
  console.log(`${message.length} bytes from ${address}: icmp_seq=${sequence} time=${milliseconds} ms`);
  missing--;
  if (missing === 0) process.exit(0);
});
socket.on("error", () => {}); // an unreachable destination counts as a missing reply
send(1);

function send(sequence: number): void {
  sentAt.set(sequence, performance.now());
  socket.send(encodeRequest(ipv6, sequence, fill), anyPort, address);
  if (sequence < Number(count)) setTimeout(send, Number(intervalMs), sequence + 1);
  else setTimeout(() => process.exit(1), patienceMs);
}
