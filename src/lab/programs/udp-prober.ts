/**
 * Measures round trips against `udp-echo`: `udp-prober ADDRESS PORT COUNT INTERVAL_MS PATIENCE_MS`. It sends at a steady
 * pace, waits for the last answers no longer than its patience, and says how long each took, `null` for those that never
 * came: `{"event":"probed","milliseconds":[...]}`.
 */
import { createSocket } from "node:dgram";

const [address, port, count, interval, patience] = process.argv.slice(2);
const size = 100;
const sentAt: number[] = [];
const milliseconds: (number | null)[] = new Array(Number(count)).fill(null);
let missing = Number(count);

const socket = createSocket("udp4");
socket.on("message", (message) => {
  const sequence = message.readUInt32BE();
  if (milliseconds[sequence] !== null) return;
  milliseconds[sequence] = Math.round((performance.now() - sentAt[sequence]) * 10) / 10;
  missing--;
  if (missing === 0) end();
});
const timer = setInterval(() => {
  const message = Buffer.alloc(size);
  message.writeUInt32BE(sentAt.length);
  sentAt.push(performance.now());
  socket.send(message, Number(port), address);
  if (sentAt.length < Number(count)) return;
  clearInterval(timer);
  setTimeout(end, Number(patience)).unref();
}, Number(interval));

function end(): void {
  console.log(JSON.stringify({ event: "probed", milliseconds }));
  socket.close();
}
