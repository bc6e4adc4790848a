/**
 * What the kernel puts before every packet of a TUN device opened with `IFF_VNET_HDR`, and expects there:
 * `struct virtio_net_hdr` of include/uapi/linux/virtio_net.h. Its numbers are in the machine's own order, which is
 * little-endian wherever warren runs; its offsets count from the packet's first byte.
 */
export const VirtioHeader = {
  size: 10,
  flags: 0,
  gsoType: 1,
  headerLength: 2,
  gsoSize: 4,
  checksumStart: 6,
  checksumOffset: 8,
} as const;

export const VirtioFlags = {
  /** The checksum field holds the pseudo-header's sum only. */
  needsChecksum: 1,
  dataValid: 2,
} as const;

/** What to cut the packet into. `ecn` is a bit that may be added to the TCP types. */
export const GsoType = { none: 0, tcp4: 1, udpFragments: 3, tcp6: 4, udp: 5, ecn: 0x80 } as const;

/** Offloads in terms of what a super-packet may be: TCP over IPv4, TCP over IPv6, UDP over either. */
export interface SuperPacketKinds {
  readonly tcp4: boolean;
  readonly tcp6: boolean;
  readonly udp: boolean;
}
