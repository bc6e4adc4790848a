/** What the kernel holds and has dropped for the sockets on a UDP port, out of /proc/net/udp or udp6. */

export interface UdpQueue {
  /** In the receive buffer, by the kernel's own reckoning, which counts its bookkeeping. */
  readonly bytes: number;
  /** Datagrams that the receive buffer had no room for, since the socket was made. */
  readonly drops: number;
}

export function udpQueue(table: string, port: number): UdpQueue {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const queue = { bytes: 0, drops: 0 };
  for (const line of table.split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (!fields[1]?.endsWith(local)) continue;
    queue.bytes += Number.parseInt(fields[4].split(":")[1], 16);
    queue.drops += Number(fields[12]);
  }
  return queue;
}
