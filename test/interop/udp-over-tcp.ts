/**
 * The other side of the two-byte framing, written from its public description alone: "Each datagram is preceded with a
 * 16 bit unsigned integer in big endian byte order, specifying the length of the datagram"
 * (https://github.com/mullvad/udp-over-tcp, README). Slow and plain, and it shares nothing with `src/transport`.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** Sends and receives datagrams over a TCP connection. */
export class PlainConnection {
  readonly socket: Socket;
  readonly datagrams: Buffer[] = [];
  #bytes = Buffer.alloc(0);
  #awaited: (() => void) | undefined;

  static async open(port: number, host = "127.0.0.1"): Promise<PlainConnection> {
    const socket = connect({ port, host });
    await once(socket, "connect");
    return new PlainConnection(socket);
  }

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      while (this.#bytes.length >= 2 && this.#bytes.length >= 2 + this.#bytes.readUInt16BE(0)) {
        const end = 2 + this.#bytes.readUInt16BE(0);
        this.datagrams.push(this.#bytes.subarray(2, end));
        this.#bytes = this.#bytes.subarray(end);
      }
      this.#awaited?.();
    });
    socket.on("close", () => this.#awaited?.());
  }

  static frame(datagram: Uint8Array): Buffer {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(datagram.length);
    return Buffer.concat([length, datagram]);
  }

  send(datagram: Uint8Array): void {
    this.socket.write(PlainConnection.frame(datagram));
  }

  /** Waits until so many datagrams are there. Throws if the connection ends before. */
  async holds(count: number): Promise<Buffer[]> {
    while (this.datagrams.length < count) {
      if (this.socket.destroyed) throw new Error(`the connection ended after ${this.datagrams.length} datagrams`);
      await new Promise<void>((resolve) => {
        this.#awaited = resolve;
      });
    }
    return this.datagrams;
  }

  /** Waits for the end of the connection. */
  async end(): Promise<void> {
    if (this.socket.closed) return;
    await new Promise<void>((resolve) => this.socket.once("close", () => resolve()));
  }
}

/** A TCP port of which each connection has a UDP socket of its own to a destination. Returns the port. */
export async function serveUdpOverTcp(destination: number, onEnd: DisposableStack): Promise<number> {
  const server = createServer((socket) => {
    const udp: UdpSocket = createSocket("udp4");
    const connection = new PlainConnection(socket);
    connection.datagrams.push = (...datagrams: Buffer[]) => {
      for (const datagram of datagrams) udp.send(datagram, destination, "127.0.0.1");
      return 0;
    };
    udp.on("message", (datagram) => connection.send(datagram));
    socket.on("close", () => udp.close());
  }).listen(0, "127.0.0.1");
  onEnd.defer(() => server.close());
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
