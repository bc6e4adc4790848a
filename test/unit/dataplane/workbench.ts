/**
 * Both halves of the packet path in this thread, between sockets of the test's own: a connected pair of UDP sockets
 * stands in for the TUN device (it keeps boundaries, as a device does), another pair is the network.
 */
import { readFileSync } from "node:fs";
import { Endpoint, IpAddress } from "../../../src/base/address.ts";
import { selectAead } from "../../../src/dataplane/aead-selection.ts";
import { batchScratch, DatagramBatch } from "../../../src/dataplane/datagram-batch.ts";
import { DatagramReader, readerBuffer, readerScratch } from "../../../src/dataplane/datagram-reader.ts";
import { Inbound } from "../../../src/dataplane/inbound.ts";
import { KeypairTable } from "../../../src/dataplane/keypair-table.ts";
import { Outbound, readLength } from "../../../src/dataplane/outbound.ts";
import { aeadLead, aeadScratch, aeadTail } from "../../../src/dataplane/packet-aead.ts";
import { PeerTable } from "../../../src/dataplane/peer-table.ts";
import { Control, SharedMemory, sharedMemorySize } from "../../../src/dataplane/shared-memory.ts";
import { SingleWriter, singleWriterRoom } from "../../../src/dataplane/single-writer.ts";
import { Arena } from "../../../src/os/arena.ts";
import { libc } from "../../../src/os/libc.ts";
import type { OffloadFault } from "../../../src/os/offload-fault.ts";
import { decodeSockaddr, sockaddrOf, sockaddrSize } from "../../../src/os/sockaddr.ts";
import { must } from "../../../src/os/system-error.ts";
import { openUdpSockets, type UdpSocketOptions, type UdpSockets } from "../../../src/os/udp-socket.ts";
import { Coalescer } from "../../../src/packet/coalescing.ts";
import { instantiateKernels, kernelsUrl } from "../../../src/packet/kernels.ts";
import { Segmenter } from "../../../src/packet/segmentation.ts";
import { AllowedIps } from "../../../src/wireguard/allowed-ips.ts";
import { Keypair } from "../../../src/wireguard/keypair.ts";
import { writeCounter } from "../../../src/wireguard/messages.ts";

const MSG_DONTWAIT = 0x40;
const IP_TOS = 1;
const loopback = IpAddress.parse("127.0.0.1");
const offloads = { tcp4: true, tcp6: true, udp: true };
const slotsSize = 320 * 1024;
const layout = { maximumPeers: 4 };

export interface WorkbenchOptions {
  /** Whether datagrams bring along which address they came to. */
  readonly localAddresses?: boolean;
  /** Bytes of virtio header that the device leaves out: 0, or all 10. */
  readonly headerless?: number;
}

export class Workbench implements Disposable {
  readonly memory: SharedMemory;
  readonly keypairs: KeypairTable;
  readonly peers: PeerTable;
  readonly allowedIps: AllowedIps;
  readonly batch: DatagramBatch;
  readonly outbound: Outbound;
  readonly inbound: Inbound;
  /** The offloads that were found not to work. */
  readonly faults: OffloadFault[] = [];
  readonly clock: Float64Array = Float64Array.of(10_000);
  readonly #resources = new DisposableStack();
  readonly #tun: number;
  readonly #device: number;
  readonly #arena: Arena;
  readonly #network: number;
  /** Where the test's end of the network is. */
  readonly remote: Endpoint;
  readonly #local: Endpoint;
  readonly #networkFd: number;
  readonly #remoteReader: DatagramReader;

  constructor(mtu = 1420, { localAddresses = false, headerless = 0 }: WorkbenchOptions = {}) {
    const shared = this.#resources.use(new Arena({ size: sharedMemorySize(layout), shared: true }));
    const arena = this.#resources.use(new Arena({ size: 24 * 65_536 }));
    this.#arena = arena;
    this.memory = new SharedMemory(shared.buffer, shared.base, layout);
    this.memory.words[Control.mtu] = mtu;
    this.keypairs = new KeypairTable(this.memory, (release) => release());
    this.peers = new PeerTable(this.memory, layout.maximumPeers, (release) => release());
    this.allowedIps = new AllowedIps(this.memory.allowedIps);
    [this.#tun, this.#device] = this.#connectedPair();
    const local = this.#open("probe", { localAddresses, trafficClass: true });
    const remote = this.#open("none", { trafficClass: true }); // receives what was cut one by one
    this.remote = new Endpoint(loopback, remote.port);
    this.#local = new Endpoint(loopback, local.port);
    this.#network = local.v4;
    this.#networkFd = remote.v4;

    let end = 64;
    const take = (size: number) => {
      const at = end;
      end = (end + size + 63) & ~63;
      return at;
    };
    const kernels = instantiateKernels(new WebAssembly.Module(readFileSync(kernelsUrl)), arena.memory);
    const { aead } = selectAead({ arena, kernels, scratch: take(aeadScratch), keys: this.memory });
    if (aead === undefined) throw new Error("no provider of the cipher passes its self-test");
    this.#resources.use(aead);
    const { memory, clock, allowedIps } = this;
    const sockets = { v4: local.v4, v6: -1 };
    this.batch = new DatagramBatch({
      arena,
      scratch: take(batchScratch),
      slots: take(slotsSize),
      slotsSize,
      memory,
      sockets,
      segmentation: local.offloads.segmentation,
      withdraw: (fault) => this.faults.push(fault),
      waitWritable: () => false,
    });
    const segmenter = new Segmenter(kernels, { ...offloads, largest: readLength });
    const tun = this.#tun;
    const buffer = take(readLength + 16) + 6;
    this.outbound = new Outbound({
      memory,
      arena,
      kernels,
      segmenter,
      aead,
      allowedIps,
      batch: this.batch,
      tun,
      headerless,
      buffer,
      clock,
    });
    this.#remoteReader = new DatagramReader({ arena, scratch: take(readerScratch), buffer: take(readerBuffer) });
    const opened = take(aeadLead + 65_575 + aeadTail) + aeadLead;
    const superPacket = take(Coalescer.headroom + Coalescer.room) + Coalescer.headroom;
    const coalescer = new Coalescer(kernels, superPacket, offloads);
    this.inbound = new Inbound({
      memory,
      arena,
      readers: [new DatagramReader({ arena, scratch: take(readerScratch), buffer: take(readerBuffer) })],
      aead,
      allowedIps,
      coalescer,
      singles: new SingleWriter({
        ...{ arena, kernels, coalescer, tun, room: take(singleWriterRoom) },
        withdraw: (fault) => this.faults.push(fault),
      }),
      tun,
      headerless,
      superPacket: superPacket - 10,
      opened,
      clock,
    });
  }

  /** A session of peer `id` that began now. */
  addKeypair(id: number, options: { isInitiator?: boolean; localIndex?: number } = {}): Keypair {
    const { isInitiator = true, localIndex = 0x8000_0001 } = options;
    const sendKey = Uint8Array.from({ length: 32 }, (_, i) => i + id);
    const receiveKey = Uint8Array.from({ length: 32 }, (_, i) => 200 - i - id);
    const keys = { remoteIndex: 0xfedc_ba98, sendKey: sendKey.slice(), receiveKey: receiveKey.slice() };
    const keypair = new Keypair({ keys, localIndex, isInitiator, createdAt: this.clock[0] });
    this.keypairs.add(id, keypair);
    keypair.sendKey = sendKey; // the table has erased them; the test is the peer
    keypair.receiveKey = receiveKey;
    this.keypairs.select(id, keypair);
    return keypair;
  }

  /** What the packet path has put at an address that it hands to the kernel. */
  word(address: number): number {
    return new DataView(this.#arena.buffer).getInt32(address - this.#arena.base, true);
  }

  /** Gives the device something to read: a virtio header and a packet. */
  toDevice(packet: Uint8Array, header: Uint8Array = new Uint8Array(10)): void {
    send(this.#device, Uint8Array.from([...header, ...packet]));
  }

  /** What was written to the device: each write's virtio header and packet. */
  fromDevice(): Uint8Array[] {
    return receiveAll(this.#device, new Uint8Array(sockaddrSize)).map(({ message }) => message);
  }

  /** `trafficClass` is what the datagram says of itself, and of congestion on its way. */
  toNetwork(message: Uint8Array, trafficClass = 0): void {
    const to = sockaddrOf(this.#local);
    must("setsockopt", libc.setsockopt(this.#networkFd, 0, IP_TOS, Uint8Array.of(trafficClass, 0, 0, 0), 4));
    must("sendto", libc.sendto(this.#networkFd, message, message.length, 0, to, to.length));
  }

  /** What each datagram says of congestion, and how long it is. */
  congestionFromNetwork(): { ecn: number; length: number }[] {
    const found: { ecn: number; length: number }[] = [];
    while (this.#remoteReader.read(this.#networkFd) > 0) {
      found.push({ ecn: this.#remoteReader.ecn, length: this.#remoteReader.length });
    }
    return found;
  }

  fromNetwork(): Uint8Array[] {
    return this.fromNetworkWithSources().map(({ message }) => message);
  }

  fromNetworkWithSources(): { message: Uint8Array; from: Endpoint | undefined }[] {
    const name = new Uint8Array(sockaddrSize);
    const messages = receiveAll(this.#networkFd, name);
    return messages.map(({ message, from }) => ({ message, from: decodeSockaddr(from) }));
  }

  receive(isWoken = false): void {
    while (this.inbound.batch(this.#network, isWoken));
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #open(offloads: "probe" | "none", told: Pick<UdpSocketOptions, "localAddresses" | "trafficClass"> = {}): UdpSockets {
    return this.#resources.use(openUdpSockets({ port: 0, v4Address: loopback, offloads, ...told }));
  }

  #connectedPair(): [number, number] {
    const ends = [this.#open("none"), this.#open("none")];
    for (const [i, { v4 }] of ends.entries()) {
      const other = sockaddrOf(new Endpoint(loopback, ends[1 - i].port));
      must("connect", libc.connect(v4, other, other.length));
    }
    return [ends[0].v4, ends[1].v4];
  }
}

/** The nonce that a counter stands for: four zeros and 64 bits, little-endian. */
export function nonceOf(counter: number): Uint8Array {
  const nonce = new Uint8Array(12);
  writeCounter(nonce, 4, counter);
  return nonce;
}

function send(fd: number, bytes: Uint8Array): void {
  must("sendto", libc.sendto(fd, bytes, bytes.length, 0, null, 0));
}

function receiveAll(fd: number, name: Uint8Array): { message: Uint8Array; from: Uint8Array }[] {
  const received: { message: Uint8Array; from: Uint8Array }[] = [];
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const nameLength = Uint8Array.of(name.length, 0, 0, 0);
    const length = libc.recvfrom(fd, buffer, buffer.length, MSG_DONTWAIT, name, nameLength);
    if (length < 0) return received;
    received.push({ message: buffer.slice(0, length), from: name.slice(0, nameLength[0]) });
  }
}
