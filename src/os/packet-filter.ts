/**
 * Programs by which the kernel picks the packets of a capture, so that the others cost neither a copy nor a wake-up:
 * classic BPF (Documentation/networking/filter.rst), made here and attached to a packet socket. Offsets count from the IP
 * header (SKF_NET_OFF), whatever the link layer.
 */
import { VpnError } from "../base/errors.ts";
import { Arena } from "./arena.ts";
import { libc } from "./libc.ts";
import { must } from "./system-error.ts";

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
/** struct sock_fprog: how many instructions, and where they are. */
const Program = { size: 16, length: 0, address: 8 } as const;
/** struct sock_filter: what to do, how many instructions to skip if a test holds and if not, and a number. */
const Instruction = { size: 8, code: 0, ifTrue: 2, ifFalse: 3, k: 4 } as const;
const header = -0x10_0000; // SKF_NET_OFF

/** The machine has a register A, and X for an index. */
const Code = {
  loadByte: 0x30, // A = the byte at k
  loadHalf: 0x28, // A = the 16 bits at k
  loadHalfAtX: 0x48, // A = the 16 bits at X + k
  shiftRight: 0x74,
  shiftLeft: 0x64,
  and: 0x54,
  copyToX: 0x07,
  setX: 0x01,
  ifEqual: 0x15,
  ifAnySet: 0x45,
  jump: 0x05,
  give: 0x06, // how many bytes of the packet the capture gets, 0 for none of it
} as const;

/** A step of a program. It goes on with the next one, unless a test or a jump names another by its label. */
interface Step {
  readonly code: keyof typeof Code;
  readonly k: number;
  readonly label?: string;
  readonly yes?: string;
  readonly no?: string;
}

export type PacketFilter = readonly Step[];

/** Takes every packet, cut to `snap` bytes. */
export function everyPacket(snap: number): PacketFilter {
  return [{ code: "give", k: snap }];
}

/** Takes UDP packets from or to a port, over IPv4 and IPv6, cut to `snap` bytes; of a fragmented one the first part. */
export function udpPackets(port: number, snap: number): PacketFilter {
  const udp = 17;
  return [
    { code: "loadByte", k: header },
    { code: "shiftRight", k: 4 },
    { code: "ifEqual", k: 6, yes: "IPv6" },
    { code: "ifEqual", k: 4, no: "none" },
    // RFC 791: protocol, flags and fragment offset, header length in words
    { code: "loadByte", k: header + 9 },
    { code: "ifEqual", k: udp, no: "none" },
    { code: "loadHalf", k: header + 6 },
    { code: "ifAnySet", k: 0x1fff, yes: "none" },
    { code: "loadByte", k: header },
    { code: "and", k: 15 },
    { code: "shiftLeft", k: 2 },
    { code: "copyToX", k: 0 },
    { code: "jump", k: 0, yes: "ports" },
    // RFC 8200, without extension headers
    { label: "IPv6", code: "loadByte", k: header + 6 },
    { code: "ifEqual", k: udp, no: "none" },
    { code: "setX", k: 40 },
    { label: "ports", code: "loadHalfAtX", k: header },
    { code: "ifEqual", k: port, yes: "take" },
    { code: "loadHalfAtX", k: header + 2 },
    { code: "ifEqual", k: port, no: "none" },
    { label: "take", code: "give", k: snap },
    { label: "none", code: "give", k: 0 },
  ];
}

/** The program as the kernel has it: 8 bytes an instruction. */
export function assemble(filter: PacketFilter): Uint8Array {
  const bytes = new Uint8Array(filter.length * Instruction.size);
  const view = new DataView(bytes.buffer);
  for (const [i, { code, k, yes, no }] of filter.entries()) {
    const skip = (label: string | undefined) => (label === undefined ? 0 : find(filter, label) - i - 1);
    const at = i * Instruction.size;
    view.setUint16(at + Instruction.code, Code[code], true);
    view.setUint8(at + Instruction.ifTrue, code === "jump" ? 0 : skip(yes));
    view.setUint8(at + Instruction.ifFalse, skip(no));
    view.setInt32(at + Instruction.k, code === "jump" ? skip(yes) : k, true);
  }
  return bytes;
}

/** Has the kernel run a program on each packet before the socket gets it. */
export function attachFilter(fd: number, filter: PacketFilter): void {
  using arena = new Arena({ size: 65_536 }); // the kernel makes a copy
  new Uint8Array(arena.buffer).set(assemble(filter));
  const program = new Uint8Array(Program.size);
  const view = new DataView(program.buffer);
  view.setUint16(Program.length, filter.length, true);
  view.setBigUint64(Program.address, BigInt(arena.base), true);
  const result = libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, program.length);
  must("setsockopt", result, { subject: "for SO_ATTACH_FILTER" });
}

function find(filter: PacketFilter, label: string): number {
  const position = filter.findIndex((step) => step.label === label);
  if (position >= 0) return position;
  throw new VpnError("invalid-argument", `a packet filter has no step ${label}`);
}
