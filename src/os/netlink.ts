/**
 * The socket through which Linux is asked to configure its network. The kernel answers before the request returns, so
 * every call here is synchronous and short. `netlink-message.ts` has the format.
 */
import { concatBytes } from "../base/bytes.ts";
import { errno, libc } from "./libc.ts";
import {
  decodeMessages,
  encodeMessage,
  failureIn,
  MessageFlag,
  type NetlinkMessage,
  NLMSG_DONE,
  NLMSG_ERROR,
  u32,
} from "./netlink-message.ts";
import { Errno, must, SystemError, type SystemErrorOptions } from "./system-error.ts";

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0x8_0000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const receiveSize = 65_536;
const dumpAttempts = 8;

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

/** What a request is about, for its error. */
export interface NetlinkRequest {
  readonly type: number;
  readonly flags?: number;
  readonly body: Uint8Array;
  /** The call as an error names it, such as `RTM_NEWROUTE`. */
  readonly name: string;
  /** As in `SystemErrorOptions`, or worked out from the errno. */
  readonly explain?: SystemErrorOptions | ((errno: number) => SystemErrorOptions);
}

/** One socket to the kernel. It works on the namespace it was opened in, from wherever it is used. Calls block briefly. */
export class NetlinkSocket implements Disposable {
  readonly fd: number;
  readonly #buffer = new Uint8Array(receiveSize);
  #sequence = 0;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** `groups` is the set of multicast groups to be notified of (RTMGRP_*), for `notifications`. */
  static open(protocol: number, groups = 0): NetlinkSocket {
    const fd = must("socket", libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol), {
      subject: `for netlink protocol ${protocol}`,
    });
    const socket = new NetlinkSocket(fd);
    try {
      const name = new Uint8Array(12); // struct sockaddr_nl: family, padding, port (0: chosen), groups
      name[0] = AF_NETLINK;
      name.set(u32(groups), 8);
      must("bind", libc.bind(fd, name, name.length), { subject: `of netlink protocol ${protocol}` });
      // The kernel's own words with an error; older kernels do without.
      libc.setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, u32(1), 4);
      libc.setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, u32(1), 4);
      // Answers come before the request returns. Should one be missing, an error after 5 s is better than no end.
      libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, concatBytes(u32(5), new Uint8Array(12)), 16);
    } catch (error) {
      socket[Symbol.dispose]();
      throw error;
    }
    return socket;
  }

  /** Asks for one thing and waits for it to be acknowledged. Returns the answers that came before that, if any. */
  request(request: NetlinkRequest): NetlinkMessage[] {
    const sequence = this.#send(request, MessageFlag.acknowledge);
    return this.#collect(request, sequence).messages;
  }

  /** Asks for a whole table. */
  dump(request: NetlinkRequest): NetlinkMessage[] {
    for (let attempt = 1; ; attempt++) {
      const { messages, interrupted } = this.#collect(request, this.#send(request, MessageFlag.dump));
      if (!interrupted || attempt === dumpAttempts) return messages;
    }
  }

  /** Sends several messages at once, which the kernel takes as one batch, and returns all that it answers to them. */
  batch(bytes: Uint8Array, options: SystemErrorOptions & { readonly name: string }): NetlinkMessage[] {
    must(options.name, libc.sendto(this.fd, bytes, bytes.length, 0, null, 0), options);
    return this.notifications().messages;
  }

  /** What has arrived, without waiting. `overrun` says that there was more than the socket's buffer could hold. */
  notifications(): { readonly messages: NetlinkMessage[]; readonly overrun: boolean } {
    const messages: NetlinkMessage[] = [];
    let overrun = false;
    for (;;) {
      const length = this.#receive(MSG_DONTWAIT);
      if (length >= 0) {
        messages.push(...decodeMessages(this.#buffer.subarray(0, length)));
        continue;
      }
      const failure = errno();
      if (failure === Errno.EAGAIN) return { messages, overrun };
      if (failure === Errno.ENOBUFS) overrun = true;
      else if (failure !== Errno.EINTR) throw new SystemError("recvfrom", failure, { subject: "on a netlink socket" });
    }
  }

  [Symbol.dispose](): void {
    libc.close(this.fd);
  }

  #send(request: NetlinkRequest, flags: number): number {
    const sequence = ++this.#sequence;
    const bytes = encodeMessage({
      type: request.type,
      flags: MessageFlag.request | flags | (request.flags ?? 0),
      sequence,
      body: request.body,
    });
    must("sendto", libc.sendto(this.fd, bytes, bytes.length, 0, null, 0), { subject: `of ${request.name}` });
    return sequence;
  }

  #collect(request: NetlinkRequest, sequence: number): { messages: NetlinkMessage[]; interrupted: boolean } {
    const messages: NetlinkMessage[] = [];
    let interrupted = false;
    for (;;) {
      const length = this.#receive(0);
      if (length < 0) {
        const failure = errno();
        if (failure === Errno.EINTR) continue;
        throw new SystemError("recvfrom", failure, { subject: `for the answer to ${request.name}` });
      }
      for (const message of decodeMessages(this.#buffer.subarray(0, length))) {
        if (message.sequence !== sequence) continue; // the rest of an answer that was given up
        if ((message.flags & MessageFlag.interrupted) !== 0) interrupted = true;
        if (message.type === NLMSG_ERROR) throwAnswer(request, message);
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) return { messages, interrupted };
        messages.push(message);
      }
    }
  }

  #receive(flags: number): number {
    const length = libc.recvfrom(this.fd, this.#buffer, receiveSize, flags | MSG_TRUNC, null, null);
    return Math.min(length, receiveSize);
  }
}

/** Throws what an NLMSG_ERROR says, unless it says that all is well. */
export function throwAnswer(request: Pick<NetlinkRequest, "name" | "explain">, message: NetlinkMessage): void {
  const failure = failureIn(message);
  if (failure === undefined) return;
  const options = typeof request.explain === "function" ? request.explain(failure.errno) : (request.explain ?? {});
  const subject = [options.subject, failure.reason === undefined ? undefined : `(kernel: ${failure.reason})`];
  const words = subject.filter((part) => part !== undefined).join(" ");
  throw new SystemError(request.name, failure.errno, { ...options, ...(words === "" ? {} : { subject: words }) });
}
