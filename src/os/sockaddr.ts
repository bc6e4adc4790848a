/**
 * `sockaddr_in` and `sockaddr_in6` as the kernel lays them out (linux/in.h, linux/in6.h): the family in host order, the
 * port and the address in network order, the scope id in host order. Pure; warren runs on little-endian machines only.
 */
import { Endpoint, IpAddress } from "../base/address.ts";

export const AF_INET = 2;
export const AF_INET6 = 10;

/** Offsets within a `sockaddr_in`. */
export const SockaddrIn = { size: 16, family: 0, port: 2, address: 4 } as const;

/** Offsets within a `sockaddr_in6`. */
export const SockaddrIn6 = { size: 28, family: 0, port: 2, flowInfo: 4, address: 8, scope: 24 } as const;

/** Bytes to set aside for an address of either family. */
export const sockaddrSize: number = SockaddrIn6.size;

/** in_pktinfo and in6_pktinfo: on receiving, where a datagram came to; on sending, where it is to come from. */
export const PacketInfo4 = { type: 8, size: 12, device: 0, local: 4 } as const;
export const PacketInfo6 = { type: 50, size: 20, local: 0, device: 16 } as const;

/** The family's address length: what the kernel takes as the length of the name. */
export function sockaddrLength(endpoint: Endpoint): number {
  return endpoint.family === 4 ? SockaddrIn.size : SockaddrIn6.size;
}

/** Writes an endpoint at `at` and returns the bytes taken, 16 or 28. */
export function encodeSockaddr(endpoint: Endpoint, into: Uint8Array, at = 0): number {
  const length = sockaddrLength(endpoint);
  into.fill(0, at, at + length);
  const view = new DataView(into.buffer, into.byteOffset + at, length);
  view.setUint16(SockaddrIn.port, endpoint.port);
  if (endpoint.family === 4) {
    view.setUint16(SockaddrIn.family, AF_INET, true);
    into.set(endpoint.address.bytes, at + SockaddrIn.address);
  } else {
    view.setUint16(SockaddrIn6.family, AF_INET6, true);
    into.set(endpoint.address.bytes, at + SockaddrIn6.address);
    view.setUint32(SockaddrIn6.scope, endpoint.scope, true);
  }
  return length;
}

/** An endpoint as a name to hand to a foreign call. */
export function sockaddrOf(endpoint: Endpoint): Uint8Array {
  const name = new Uint8Array(sockaddrLength(endpoint));
  encodeSockaddr(endpoint, name);
  return name;
}

/** Reads the endpoint at `at`; `undefined` where the family is another or the bytes do not suffice. */
export function decodeSockaddr(bytes: Uint8Array, at = 0): Endpoint | undefined {
  if (bytes.length < at + SockaddrIn.size) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
  const port = view.getUint16(SockaddrIn.port);
  switch (view.getUint16(SockaddrIn.family, true)) {
    case AF_INET:
      return new Endpoint(addressAt(bytes, at + SockaddrIn.address, 4), port);
    case AF_INET6:
      if (bytes.length < at + SockaddrIn6.size) return undefined;
      return new Endpoint(
        addressAt(bytes, at + SockaddrIn6.address, 16),
        port,
        view.getUint32(SockaddrIn6.scope, true),
      );
    default:
      return undefined;
  }
}

function addressAt(bytes: Uint8Array, at: number, length: number): IpAddress {
  return new IpAddress(bytes.subarray(at, at + length));
}
