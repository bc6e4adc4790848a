/**
 * WireGuard's own transport: one message to a datagram, IPv4 and IPv6 on one port. Data messages are sent and received
 * by the workers through `descriptors`; what this file sends itself is the handshake, a message every two minutes.
 *
 * The descriptors are the same numbers for as long as the transport lives. Opening puts sockets under them (dup3(2) does
 * so in one step), closing something in their place that has no port and never anything to read. So the port may change
 * while workers run: they need only be woken, since a `poll` that has begun waits for what stood there before.
 */
import type { Endpoint } from "../base/address.ts";
import { sendDatagram } from "../os/datagram.ts";
import { EventDescriptor } from "../os/event-descriptor.ts";
import { libc } from "../os/libc.ts";
import { NetworkNamespace } from "../os/namespace.ts";
import type { OffloadFault } from "../os/offload-fault.ts";
import { must } from "../os/system-error.ts";
import { checkUdpOffloads } from "../os/udp-offload-check.ts";
import { markSocket, openUdpSockets, type UdpOffloads } from "../os/udp-socket.ts";

const O_CLOEXEC = 0x8_0000;

export class UdpTransport implements Disposable {
  readonly descriptors: { readonly v4: number; readonly v6: number };
  /** Whether one call may send many datagrams, and receive many. */
  readonly offloads: UdpOffloads;
  /** What of that was found to be broken, and why it could not be found out where that is so. */
  readonly faults: readonly OffloadFault[];
  readonly unchecked: string | undefined;
  readonly #resources = new DisposableStack();
  readonly #home: NetworkNamespace;
  readonly #nothing: EventDescriptor;
  #mark = 0;
  #port = 0;
  #isOpen = false;
  #hasIpv6 = false;

  /** Prepares sockets for this thread's network namespace, where they will stay. None is open yet. */
  constructor() {
    using undo = new DisposableStack();
    this.#home = undo.use(NetworkNamespace.current());
    this.#nothing = undo.use(EventDescriptor.create());
    this.descriptors = { v4: undo.use(EventDescriptor.create()).fd, v6: undo.use(EventDescriptor.create()).fd };
    const check = checkUdpOffloads();
    this.offloads = check.offloads;
    this.faults = check.faults;
    this.unchecked = check.unchecked;
    this.#resources = undo.move();
  }

  /** What peers send to. A closed transport keeps it in mind for the next `open`; 0 is one of the kernel's choice. */
  get port(): number {
    return this.#port;
  }

  set port(port: number) {
    this.#port = port;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Listens on a port, 0 for one of the kernel's choice, and no longer on the one before. Left out, it is `port`. Throws `port-taken` and other
   * `SystemError`s, and then all stays as it was.
   */
  open(port: number = this.#port): void {
    const options = {
      port,
      localAddresses: true,
      trafficClass: true,
      receiveOffload: this.offloads.receiveOffload,
      ...(this.#mark === 0 ? {} : { mark: this.#mark }),
    };
    using sockets = this.#home.run(() => openUdpSockets(options));
    this.#put(sockets.v4, sockets.v6 ?? this.#nothing.fd);
    this.#hasIpv6 = sockets.v6 !== undefined;
    this.#port = sockets.port;
    this.#isOpen = true;
  }

  /** Gives the port back. Nothing arrives, and what is sent is refused. */
  close(): void {
    this.#put(this.#nothing.fd, this.#nothing.fd);
    this.#isOpen = false;
  }

  /** Firewall mark of everything sent, so that it can be routed past the tunnel; 0 for none. Throws `not-permitted`. */
  get mark(): number {
    return this.#mark;
  }

  set mark(mark: number) {
    const { v4, v6 } = this.descriptors;
    if (this.#isOpen) for (const fd of this.#hasIpv6 ? [v4, v6] : [v4]) markSocket(fd, mark);
    this.#mark = mark;
  }

  /** Sends one message, from the address that the endpoint was spoken to by, if that is known and still ours. False where the network refused it, as it does when there is no route: it may do so any time. */
  send(message: Uint8Array, endpoint: Endpoint): boolean {
    return sendDatagram(this.descriptors, message, endpoint) === 0;
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #put(v4: number, v6: number): void {
    must("dup3", libc.dup3(v4, this.descriptors.v4, O_CLOEXEC), { subject: "of the IPv4 socket" });
    must("dup3", libc.dup3(v6, this.descriptors.v6, O_CLOEXEC), { subject: "of the IPv6 socket" });
  }
}
