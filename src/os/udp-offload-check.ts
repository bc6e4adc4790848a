/**
 * Whether this kernel's UDP offloads do what they promise, found out over loopback with the very calls and options of the
 * packet path: a train of datagrams is sent by one call, to a socket for which the kernel cuts it and to one that takes
 * it whole, and what arrives is compared byte by byte. There have been kernels that spoilt trains whose last datagram is
 * as long as the others (7.0.0 to 7.1.4), so there is one of each shape.
 *
 * Nothing leaves the machine. What only a network device does, with the train in its hands, cannot be seen from here.
 */
import { randomBytes } from "node:crypto";
import type { Endpoint } from "../base/address.ts";
import { Arena } from "./arena.ts";
import { errno, libc } from "./libc.ts";
import { type OffloadFault, refusal } from "./offload-fault.ts";
import { POLLIN, Poller, pollerSize } from "./poller.ts";
import { encodeSockaddr, sockaddrOf, sockaddrSize } from "./sockaddr.ts";
import { errnoName, must, SystemError } from "./system-error.ts";
import { openLoopbackSocket, probeUdpOffloads, type UdpOffloads } from "./udp-socket.ts";

/** Lengths of the datagrams of a train: full messages at an MTU of 1,420, and a last one as long or shorter. */
const trains: readonly (readonly number[])[] = [
  [1452, 1452, 1452, 1452],
  [1452, 1452, 1452, 100],
  [96, 96],
];
/** A datagram that travels alone, before each train and behind it: it shows that trains can arrive. */
const marker = Uint8Array.of(0x77);
const patienceMs = 50;

const MSG_DONTWAIT = 0x40;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;
/** struct msghdr, a name, an I/O vector of a train's length, a control message, a poller, and what is sent or received. */
const Layout = { header: 0, name: 64, vector: 96, control: 192, poller: 320, data: 512, room: 65_536 - 512 } as const;
const controlLength = 24;

export interface UdpOffloadCheck {
  /** What is there and not known to be broken. */
  readonly offloads: UdpOffloads;
  readonly faults: readonly OffloadFault[];
  /** Why nothing could be seen, where that is so; then what is there is taken to work. */
  readonly unchecked: string | undefined;
}

/** Takes about a millisecond. */
export function checkUdpOffloads(): UdpOffloadCheck {
  const found = probeUdpOffloads();
  if (!found.segmentation) return { offloads: found, faults: [], unchecked: undefined };
  try {
    const faults = runTrains(found);
    const isGood = (offload: OffloadFault["offload"]) => !faults.some((fault) => fault.offload === offload);
    const offloads = {
      segmentation: isGood("UDP_SEGMENT"),
      receiveOffload: found.receiveOffload && isGood("UDP_GRO"),
    };
    return { offloads, faults, unchecked: undefined };
  } catch (error) {
    if (!(error instanceof Unchecked || error instanceof SystemError)) throw error;
    return { offloads: found, faults: [], unchecked: error.message };
  }
}

/** Something else than an offload stands in the way. */
class Unchecked extends Error {}

function runTrains({ receiveOffload }: UdpOffloads): OffloadFault[] {
  using wire = new Loopback();
  for (const lengths of trains) {
    const fault = wire.carry(lengths, false);
    if (fault !== undefined) return [{ offload: "UDP_SEGMENT", why: fault }];
  }
  for (const lengths of receiveOffload ? trains : []) {
    const fault = wire.carry(lengths, true);
    if (fault !== undefined) return [{ offload: "UDP_GRO", why: fault }];
  }
  return [];
}

/** A socket that sends, and one that receives with UDP_GRO or without. */
class Loopback implements Disposable {
  readonly #resources = new DisposableStack();
  readonly #arena: Arena;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #sender: number;
  readonly #receivers: { readonly plain: LoopbackSocket; readonly joined: LoopbackSocket };

  constructor() {
    using undo = new DisposableStack();
    const open = (offloads: "probe" | "none"): LoopbackSocket => {
      const socket = openLoopbackSocket(offloads);
      undo.defer(() => libc.close(socket.fd));
      return socket;
    };
    this.#arena = undo.use(new Arena({ size: 65_536 }));
    this.#bytes = new Uint8Array(this.#arena.buffer);
    this.#view = new DataView(this.#arena.buffer);
    const sender = open("none");
    this.#sender = sender.fd;
    this.#receivers = { plain: open("none"), joined: open("probe") };
    const name = sockaddrOf(sender.local);
    for (const { fd } of Object.values(this.#receivers)) {
      must("connect", libc.connect(fd, name, name.length)); // nobody else gets a word in
    }
    this.#resources = undo.move();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  /** Sends a train and says what was wrong with what arrived; undefined where nothing was. Throws `Unchecked`. */
  carry(lengths: readonly number[], isJoined: boolean): string | undefined {
    const receiver = isJoined ? this.#receivers.joined : this.#receivers.plain;
    const train = lengths.map((length) => new Uint8Array(randomBytes(length)));
    this.#sendMarker(receiver);
    const refused = this.#send(train, receiver);
    if (refused !== 0) return refusal("UDP_SEGMENT", "sendmsg", refused).why;
    this.#sendMarker(receiver);
    const arrived: Uint8Array[] = [];
    for (let markers = 0; markers < 2; ) {
      for (const datagram of this.#receive(receiver)) {
        if (datagram.length === marker.length) markers++;
        else arrived.push(datagram);
      }
    }
    const isWhole = arrived.length === train.length;
    if (isWhole && arrived.every((datagram, i) => Buffer.compare(datagram, train[i]) === 0)) return undefined;
    const tail = lengths.at(-1) === lengths[0] ? "of equal datagrams" : "with a shorter last datagram";
    return `a train ${tail} did not arrive as it was sent`;
  }

  #sendMarker(receiver: LoopbackSocket): void {
    const refused = this.#send([marker], receiver);
    if (refused !== 0) throw new Unchecked(`loopback answers ${errnoName(refused)}`);
  }

  /** One sendmsg, as datagram-batch.ts makes it. 0 or the errno. */
  #send(datagrams: readonly Uint8Array[], { local }: LoopbackSocket): number {
    const { base } = this.#arena;
    let end = Layout.data;
    for (const [i, datagram] of datagrams.entries()) {
      this.#pointer(Layout.vector + 16 * i, base + end);
      this.#pointer(Layout.vector + 16 * i + 8, datagram.length);
      this.#bytes.set(datagram, end);
      end += datagram.length;
    }
    this.#header(encodeSockaddr(local, this.#bytes, Layout.name), datagrams.length);
    this.#pointer(Layout.header + 40, datagrams.length > 1 ? controlLength : 0);
    this.#pointer(Layout.control, controlLength - 6); // CMSG_LEN(sizeof(uint16_t))
    this.#view.setInt32(Layout.control + 8, SOL_UDP, true);
    this.#view.setInt32(Layout.control + 12, UDP_SEGMENT, true);
    this.#view.setUint16(Layout.control + 16, datagrams[0].length, true);
    return libc.sendmsg(this.#sender, base + Layout.header, 0) < 0 ? errno() : 0;
  }

  /** What one recvmsg brings, cut where the kernel says that it was joined. Throws `Unchecked` where nothing comes. */
  #receive({ fd }: LoopbackSocket): Uint8Array[] {
    const { base } = this.#arena;
    const poller = new Poller(this.#arena, Layout.poller, [fd]);
    if (poller.wait(patienceMs) === 0 || poller.ready(0) !== POLLIN) throw new Unchecked("loopback carries no UDP");
    this.#pointer(Layout.vector, base + Layout.data);
    this.#pointer(Layout.vector + 8, Layout.room);
    this.#header(sockaddrSize, 1);
    this.#pointer(Layout.header + 40, Layout.poller - Layout.control);
    const length = libc.recvmsg(fd, base + Layout.header, MSG_DONTWAIT);
    if (length < 0) throw new Unchecked(`recvmsg failed with ${errnoName(errno())}`);
    const whole = this.#bytes.slice(Layout.data, Layout.data + length);
    const isJoined =
      this.#view.getInt32(Layout.header + 40, true) >= 16 &&
      this.#view.getInt32(Layout.control + 8, true) === SOL_UDP &&
      this.#view.getInt32(Layout.control + 12, true) === UDP_GRO;
    const size = isJoined ? this.#view.getInt32(Layout.control + 16, true) : length;
    const count = size <= 0 ? 1 : Math.ceil(length / size);
    return Array.from({ length: count }, (_, i) => whole.subarray(i * size, (i + 1) * size));
  }

  #header(nameLength: number, vectors: number): void {
    const { base } = this.#arena;
    this.#bytes.fill(0, Layout.header, Layout.name);
    this.#pointer(Layout.header, base + Layout.name);
    this.#view.setInt32(Layout.header + 8, nameLength, true);
    this.#pointer(Layout.header + 16, base + Layout.vector);
    this.#pointer(Layout.header + 24, vectors);
    this.#pointer(Layout.header + 32, base + Layout.control);
  }

  #pointer(at: number, value: number): void {
    this.#view.setBigUint64(at, BigInt(value), true);
  }
}

interface LoopbackSocket {
  readonly fd: number;
  readonly local: Endpoint;
}

if (Layout.poller + pollerSize(1) > Layout.data || Layout.vector + 16 * 4 > Layout.control) {
  throw new RangeError("the layout of the check is too narrow");
}
