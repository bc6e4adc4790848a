/**
 * The file of `--pcap`: what was seen inside and outside, each interface as its own, for tcpdump and Wireshark. It may
 * hold whatever people send, so only its owner can read it, and it takes nobody's place unless told to.
 */
import { closeSync, constants, ftruncateSync, lstatSync, openSync, rmSync, writeSync } from "node:fs";
import { getSystemErrorMessage } from "node:util";
import { VpnError } from "../base/errors.ts";
import { enhancedPacket, interfaceDescription, sectionHeader } from "../packet/pcapng.ts";
import { captureLength } from "./capture-length.ts";
import type { SeenPacket, VantagePoint } from "./vantage-points.ts";

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;

export class CaptureFile implements Disposable {
  readonly path: string;
  readonly #fd: number;
  #packets = 0;
  #bytes = 0;

  /** Makes the file, in place of another with `force`. Throws `name-taken`, and what the system refuses. */
  constructor(path: string, force: boolean) {
    this.path = path;
    try {
      if (force) removeFile(path);
      this.#fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    } catch (error) {
      throw explain(error, path);
    }
    this.#write([sectionHeader("warren trace")]);
  }

  /** Each interface comes before its packets, in the order of the vantage points' numbers. */
  addPoint({ side, device }: VantagePoint, snap: number): void {
    const description = side === "inside" ? "packets inside the tunnel" : "messages outside the tunnel";
    this.#write([interfaceDescription({ name: device, description, snap })]);
  }

  add(seen: readonly SeenPacket[]): void {
    this.#write(
      seen.map(({ point, packet }) => {
        const { bytes, outgoing, protocol, time = { seconds: 0, nanoseconds: 0 } } = packet;
        const length = captureLength(bytes);
        return enhancedPacket({ interface: point.number, ...time, outgoing, protocol, bytes, length });
      }),
    );
    this.#packets += seen.length;
  }

  get written(): { readonly file: string; readonly packets: number; readonly bytes: number } {
    return { file: this.path, packets: this.#packets, bytes: this.#bytes };
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #write(blocks: readonly Uint8Array[]): void {
    if (blocks.length === 0) return;
    const bytes = Buffer.concat(blocks);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
      this.#bytes += bytes.length;
    } catch (error) {
      ftruncateSync(this.#fd, this.#bytes); // half a block would make the whole file unreadable to some
      throw explain(error, this.path);
    }
  }
}

/** Takes away what is in the way: the file or the link of this name, never a device or a folder. */
function removeFile(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isFile() === true || found?.isSymbolicLink() === true) rmSync(path);
}

function explain(error: unknown, path: string): VpnError {
  const { code, errno } = error as NodeJS.ErrnoException;
  if (code === "EEXIST") {
    return new VpnError("name-taken", `${path} exists`, {
      remedy: "choose another file, or add --force where it is one",
      cause: error,
    });
  }
  const why = errno === undefined ? String(error) : getSystemErrorMessage(errno);
  return new VpnError("not-available", `cannot write ${path}: ${why}`, { cause: error });
}
