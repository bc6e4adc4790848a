/**
 * A UDP socket of the relay: made in `os/` with everything set, read and written through `node:dgram` in the main loop.
 * Sending may fail at any time, as UDP may lose at any time; both are counted and neither is an error.
 */
import { createSocket, type Socket } from "node:dgram";
import { Endpoint, IpAddress } from "../base/address.ts";
import { openDatagramSocket } from "../os/datagram-socket.ts";
import { libc } from "../os/libc.ts";

export interface DatagramPortOptions {
  readonly local: Endpoint;
  /** Where all goes to and comes from; the kernel drops what others send. */
  readonly remote?: Endpoint;
  readonly mark?: number;
  /** The bytes are the receiver's for the length of the call only. */
  readonly onDatagram: (bytes: Uint8Array, sourceAddress: string, sourcePort: number) => void;
}

export class DatagramPort implements Disposable {
  /** Datagrams that the kernel did not take, and errors it told of later, such as a refused port. */
  failures = 0;
  readonly #socket: Socket;
  readonly #isConnected: boolean;
  #isClosed = false;

  /** Resolves when it can send and receive. Throws `port-taken` and the like. */
  static async open(options: DatagramPortOptions): Promise<DatagramPort> {
    const fd = openDatagramSocket(options.local, { mark: options.mark ?? 0 });
    const socket = createSocket(options.local.family === 4 ? "udp4" : "udp6");
    try {
      await settled(socket, (done) => socket.bind({ fd }, done));
    } catch (error) {
      libc.close(fd);
      throw error;
    }
    const { remote } = options;
    try {
      if (remote !== undefined) {
        await settled(socket, (done) => socket.connect(remote.port, String(remote.address), done));
      }
      return new DatagramPort(socket, remote !== undefined, options.onDatagram);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  private constructor(socket: Socket, isConnected: boolean, onDatagram: DatagramPortOptions["onDatagram"]) {
    this.#socket = socket;
    this.#isConnected = isConnected;
    socket.on("message", (bytes, { address, port }) => onDatagram(bytes, address, port));
    socket.on("error", () => {
      this.failures++;
    });
  }

  get local(): Endpoint {
    const { address, port } = this.#socket.address();
    return new Endpoint(IpAddress.parse(address), port);
  }

  /** Sends a copy, to the remote it is connected to or to an address. */
  send(bytes: Uint8Array, address?: string, port?: number): void {
    if (this.#isClosed) return;
    const copy = Buffer.from(bytes); // libuv may keep it until the socket is writable
    const done = (error: Error | null): void => {
      if (error !== null) this.failures++;
    };
    if (this.#isConnected) this.#socket.send(copy, done);
    else this.#socket.send(copy, port, address, done);
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
  }
}

/** Waits for what has been begun, or for the error that ends it. */
async function settled(socket: Socket, begin: (done: (error?: Error) => void) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("error", reject);
  begin((error) => (error instanceof Error ? reject(error) : resolve()));
  try {
    await promise;
  } finally {
    socket.off("error", reject);
  }
}
