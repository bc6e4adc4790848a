/**
 * A long cable: `delay-line DEVICE MILLISECONDS`. What the kernel routes into the TUN device comes out of it again so
 * much later, in order. It says `{"event":"ready"}` when the device is there.
 */
import { Arena } from "../../os/arena.ts";
import { libc } from "../../os/libc.ts";
import { Poller } from "../../os/poller.ts";
import { TunDevice } from "../../os/tun-device.ts";

const [name, delay] = process.argv.slice(2);
const packetAt = 64; // the poller lies before it
const longest = 65_536;
const pollMs = 1;

const tun = TunDevice.open({ name, virtioHeader: false });
const arena = new Arena({ size: 2 * 65_536 });
const bytes = new Uint8Array(arena.buffer);
const poller = new Poller(arena, 0, [tun.fd]);
const queue: { readonly due: number; readonly packet: Uint8Array }[] = [];

console.log(JSON.stringify({ event: "ready" }));
for (;;) {
  poller.wait(queue.length === 0 ? -1 : pollMs);
  const now = performance.now();
  for (let length = read(); length > 0; length = read()) {
    queue.push({ due: now + Number(delay), packet: bytes.slice(packetAt, packetAt + length) });
  }
  while (queue.length > 0 && queue[0].due <= now) {
    const { packet } = queue[0];
    queue.shift();
    bytes.set(packet, packetAt);
    libc.write(tun.fd, arena.base + packetAt, packet.length);
  }
}

function read(): number {
  return libc.read(tun.fd, arena.base + packetAt, longest);
}
