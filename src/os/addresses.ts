/** Addresses of interfaces through rtnetlink: what `ip address` does. */
import { Cidr, IpAddress } from "../base/address.ts";
import { concatBytes } from "../base/bytes.ts";
import type { NetlinkSocket } from "./netlink.ts";
import { attribute, decodeAttributes, MessageFlag, u32, viewOf } from "./netlink-message.ts";
import { AF_INET, AF_INET6 } from "./sockaddr.ts";
import { Errno, SystemError, type SystemErrorOptions } from "./system-error.ts";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;

/** struct ifaddrmsg. */
const AddressBody = { size: 8, family: 0, prefix: 1, flags: 2, scope: 3, index: 4 } as const;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 2;
const IFA_F_TENTATIVE = 0x40;

export interface InterfaceAddress {
  /** The interface's index. */
  readonly device: number;
  readonly address: Cidr;
  /** The kernel still looks whether another has it: not to be used yet. */
  readonly tentative: boolean;
}

export class Addresses {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** The addresses of one interface, or of all. */
  list(device?: number): InterfaceAddress[] {
    const request = { type: RTM_GETADDR, name: "RTM_GETADDR", body: new Uint8Array(AddressBody.size) };
    return this.#socket
      .dump(request)
      .flatMap((message) => decodeAddress(message.body) ?? [])
      .filter((found) => device === undefined || found.device === device);
  }

  /**
   * An IPv6 address is not first looked for on the link, where a tunnel has nobody to ask. It is usable when
   * `InterfaceConfig.settle` has returned.
   */
  add(device: number, address: Cidr): void {
    this.#socket.request({
      type: RTM_NEWADDR,
      name: "RTM_NEWADDR",
      flags: MessageFlag.create | MessageFlag.exclusive,
      body: encodeAddress(device, address),
      explain: (errno) => explain(errno, device, address),
    });
  }

  /** Whether it was there to remove. */
  remove(device: number, address: Cidr): boolean {
    const request = { type: RTM_DELADDR, name: "RTM_DELADDR", body: encodeAddress(device, address) };
    try {
      this.#socket.request({ ...request, explain: (errno) => explain(errno, device, address) });
      return true;
    } catch (error) {
      const gone = [Errno.EADDRNOTAVAIL, Errno.ENODEV] as readonly number[];
      if (error instanceof SystemError && gone.includes(error.errno)) return false;
      throw error;
    }
  }
}

function encodeAddress(device: number, { address, prefix }: Cidr): Uint8Array {
  const body = new Uint8Array(AddressBody.size);
  body[AddressBody.family] = address.family === 4 ? AF_INET : AF_INET6;
  body[AddressBody.prefix] = prefix;
  viewOf(body).setUint32(AddressBody.index, device, true);
  return concatBytes(
    body,
    attribute(IFA_LOCAL, address.bytes),
    attribute(IFA_ADDRESS, address.bytes),
    ...(address.family === 4 ? [] : [attribute(IFA_FLAGS, u32(IFA_F_NODAD))]),
  );
}

function decodeAddress(body: Uint8Array): InterfaceAddress | undefined {
  const attributes = decodeAttributes(body, AddressBody.size);
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS); // IPv6 has the second alone
  if (bytes === undefined) return undefined;
  return {
    device: viewOf(body).getUint32(AddressBody.index, true),
    address: new Cidr(new IpAddress(bytes), body[AddressBody.prefix]),
    tentative: (body[AddressBody.flags] & IFA_F_TENTATIVE) !== 0,
  };
}

function explain(errno: number, device: number, address: Cidr): SystemErrorOptions {
  const subject = `for ${address} on interface ${device}`;
  switch (errno) {
    case Errno.EEXIST:
      return { subject, remedy: "the interface has this address already" };
    case Errno.ENODEV:
      return { subject, remedy: "the interface is gone, or has no IPv6 because its MTU is below 1280" };
    case Errno.EACCES:
    case Errno.EOPNOTSUPP:
      return { subject, remedy: "IPv6 is switched off: set net.ipv6.conf.all.disable_ipv6=0, or leave IPv6 out" };
    default:
      return { subject };
  }
}
