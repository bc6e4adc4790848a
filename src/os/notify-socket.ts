/**
 * Tells a service manager how a service is doing (sd_notify(3)): lines such as `READY=1` in one datagram to the Unix
 * socket that the environment names. Node has no datagrams over Unix sockets.
 */
import { libc } from "./libc.ts";
import { must } from "./system-error.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0x8_0000;
const MSG_NOSIGNAL = 0x4000;
const longestPath = 107; // sun_path, less the closing zero

/** Sends these lines. Where `address` is undefined, as without a service manager, nothing happens. Throws `SystemError`. */
export function notifyServiceManager(address: string | undefined, lines: readonly string[]): void {
  if (address === undefined || !/^[/@]/.test(address) || Buffer.byteLength(address) > longestPath) return;
  const name = encodeUnixAddress(address);
  const message = Buffer.from(lines.join("\n"));
  const fd = must("socket", libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0), { subject: "for NOTIFY_SOCKET" });
  try {
    must("sendto", libc.sendto(fd, message, message.length, MSG_NOSIGNAL, name, name.length), {
      subject: `of NOTIFY_SOCKET ${address}`,
    });
  } finally {
    libc.close(fd);
  }
}

/** struct sockaddr_un. `@` stands for the zero with which an abstract name begins; a path has one at its end. */
function encodeUnixAddress(address: string): Uint8Array {
  const isAbstract = address.startsWith("@");
  const path = Buffer.from(isAbstract ? `\0${address.slice(1)}` : `${address}\0`);
  const name = new Uint8Array(2 + path.length);
  name[0] = AF_UNIX;
  name.set(path, 2);
  return name;
}
