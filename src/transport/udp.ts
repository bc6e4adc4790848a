/**
 * WireGuard's own transport: one message to a datagram, IPv4 and IPv6 on one port. Data messages are sent and received
 * by the workers through `descriptors`; what this file sends itself is the handshake, a message every two minutes.
 */
import type { Endpoint } from "../base/address.ts";
import { decodeSockaddr, sockaddrOf } from "../os/sockaddr.ts";
import { openUdpSockets, sendDatagram, type UdpSockets } from "../os/udp-socket.ts";

export interface UdpTransportOptions {
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** Firewall mark of everything sent, so that it can be routed past the tunnel. */
  readonly mark?: number | undefined;
}

export class UdpTransport implements Disposable {
  readonly #sockets: UdpSockets;

  /** Opens the sockets in this thread's network namespace. Throws `port-taken` and other `SystemError`s. */
  constructor({ port, mark }: UdpTransportOptions) {
    this.#sockets = openUdpSockets({ port, ...(mark === undefined ? {} : { mark }) });
  }

  get port(): number {
    return this.#sockets.port;
  }

  get descriptors(): { readonly v4: number; readonly v6: number | undefined } {
    return this.#sockets;
  }

  /** Whether one call may send many datagrams, and receive many. */
  get offloads(): UdpSockets["offloads"] {
    return this.#sockets.offloads;
  }

  /** Sends one message. False where the network refused it, as it does when there is no route: it may do so any time. */
  send(message: Uint8Array, endpoint: Endpoint): boolean {
    return sendDatagram(this.#sockets, message, endpoint) === 0;
  }

  /** How the kernel writes an endpoint, and back. */
  static encode(endpoint: Endpoint): Uint8Array {
    return sockaddrOf(endpoint);
  }

  static decode(address: Uint8Array): Endpoint | undefined {
    return decodeSockaddr(address);
  }

  [Symbol.dispose](): void {
    this.#sockets[Symbol.dispose]();
  }
}
