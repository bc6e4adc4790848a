/**
 * A UDP socket of the relay: made in `os/` with everything set, and read through `node:dgram` in the main loop. What is
 * sent within one turn of the loop leaves together: datagrams of equal length to one address, as they come out of a
 * stream in bulk, are one call, which the kernel cuts (UDP_SEGMENT).
 *
 * Sending may fail at any time, as UDP may lose at any time; both are counted and neither is an error.
 */
import { createSocket, type Socket } from "node:dgram";
import { Endpoint, IpAddress } from "../base/address.ts";
import { openDatagramSocket, sendBytes, setSegmentBytes } from "../os/datagram-socket.ts";
import { libc } from "../os/libc.ts";
import { sockaddrOf } from "../os/sockaddr.ts";
import { Errno } from "../os/system-error.ts";

/** Who sent a datagram, in a form that can be sent to. */
export interface Correspondent {
  readonly address: string;
  readonly port: number;
  /** As the kernel has it; link-local addresses, which have a scope, go the slow way. */
  readonly name: Uint8Array | undefined;
}

export interface DatagramPortOptions {
  readonly local: Endpoint;
  /** Where all goes to and comes from; the kernel drops what others send. */
  readonly remote?: Endpoint;
  readonly mark?: number;
  /** The bytes are the receiver's for the length of the call only. */
  readonly onDatagram: (bytes: Uint8Array, address: string, port: number) => void;
}

interface Outgoing {
  readonly bytes: Uint8Array;
  readonly to: Correspondent | undefined;
}

/** The kernel takes at most 64 segments in a call (udp.h, UDP_MAX_SEGMENTS before 6.9) and 65,507 bytes. */
const mostSegments = 64;
const mostBytes = 65_507;
/** The call is synchronous: one for all ports will do. */
const staging = new Uint8Array(mostBytes);

export class DatagramPort implements Disposable {
  /** Datagrams that the kernel did not take, and errors it told of later, such as a refused port. */
  failures = 0;
  readonly #socket: Socket;
  readonly #fd: number;
  readonly #isConnected: boolean;
  #isClosed = false;
  #canSegment = true;
  #segmentBytes = 0;
  #outgoing: Outgoing[] = [];

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
      return new DatagramPort(socket, fd, remote !== undefined, options.onDatagram);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  private constructor(socket: Socket, fd: number, isConnected: boolean, onDatagram: DatagramPortOptions["onDatagram"]) {
    this.#socket = socket;
    this.#fd = fd;
    this.#isConnected = isConnected;
    socket.on("message", (bytes, { address, port }) => onDatagram(bytes, address, port));
    socket.on("error", () => {
      this.failures++;
    });
  }

  /** Prepares what datagrams are to be sent to again and again. */
  static correspondent(address: string, port: number): Correspondent {
    const name = address.includes("%") ? undefined : sockaddrOf(new Endpoint(IpAddress.parse(address), port));
    return { address, port, name };
  }

  get local(): Endpoint {
    const { address, port } = this.#socket.address();
    return new Endpoint(IpAddress.parse(address), port);
  }

  /** Sends a copy, to a correspondent or to the remote it is connected to, at the end of this turn. */
  send(bytes: Uint8Array, to?: Correspondent): void {
    if (this.#isClosed) return;
    if (this.#outgoing.length === 0) setImmediate(() => this.#flush());
    this.#outgoing.push({ bytes: Uint8Array.from(bytes), to });
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#flush();
    this.#isClosed = true;
    this.#socket.close();
  }

  #flush(): void {
    const all = this.#outgoing;
    this.#outgoing = [];
    if (this.#isClosed) return;
    for (let from = 0; from < all.length; ) {
      const end = this.#canSegment ? endOfRun(all, from) : from + 1;
      if (end - from < 2 || !this.#sendRun(all, from, end)) {
        for (let i = from; i < end; i++) this.#sendOne(all[i]);
      }
      from = end;
    }
  }

  /** False where the kernel will not cut them, and they have to go one by one. */
  #sendRun(all: readonly Outgoing[], from: number, end: number): boolean {
    const [{ bytes, to }, count] = [all[from], end - from];
    if (to !== undefined && to.name === undefined) return false;
    let length = 0;
    for (let i = from; i < end; i++) {
      staging.set(all[i].bytes, length);
      length += all[i].bytes.length;
    }
    if (!this.#cut(bytes.length)) return false;
    const failure = sendBytes(this.#fd, staging.subarray(0, length), to?.name ?? null);
    // Not from this device, or not with this size: it was told in advance that it may be so (os/udp-socket.ts).
    if (failure === Errno.EIO || failure === Errno.EINVAL || failure === Errno.EMSGSIZE) {
      this.#canSegment = failure === Errno.EMSGSIZE;
      return false;
    }
    if (failure !== 0) this.failures += count;
    return true;
  }

  #sendOne({ bytes, to }: Outgoing): void {
    if (to !== undefined && to.name === undefined) {
      this.#socket.send(bytes, to.port, to.address, (error) => {
        if (error !== null) this.failures++;
      });
      return;
    }
    this.#cut(0);
    if (sendBytes(this.#fd, bytes, this.#isConnected ? null : (to?.name ?? null)) !== 0) this.failures++;
  }

  #cut(segmentBytes: number): boolean {
    if (segmentBytes === this.#segmentBytes) return true;
    if (!setSegmentBytes(this.#fd, segmentBytes)) {
      this.#canSegment = false;
      return false;
    }
    this.#segmentBytes = segmentBytes;
    return true;
  }
}

/** Behind the last of those that can go in one call: to one address, of one length; only the last may be shorter. */
function endOfRun(all: readonly Outgoing[], from: number): number {
  const { bytes, to } = all[from];
  let total = bytes.length;
  for (let i = from + 1; i < all.length; i++) {
    const { length } = all[i].bytes;
    total += length;
    if (all[i].to !== to || length > bytes.length || total > mostBytes || i - from === mostSegments) return i;
    if (length < bytes.length) return i + 1;
  }
  return all.length;
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
