/**
 * The answer to a `get=1` of the configuration protocol: the interface, then each of its peers. It is made portion by
 * portion, as the client takes it, so that ten thousand peers need no more memory than ten. What changes meanwhile may
 * show or not; a peer is shown as it was at one moment.
 */
import type { Tunnel } from "./tunnel.ts";

/** What of a tunnel the operation reads. */
export type DescribableTunnel = Pick<Tunnel, "privateKey" | "port" | "mark" | "peers">;

const portion = 32 * 1024;
const largestLine = 160;
const hexDigits = new TextEncoder().encode("0123456789abcdef");

/** The lines, in portions of some tens of KiB. Each is memory of its own, which holds keys: to be wiped when it is sent. */
export function* describe(tunnel: DescribableTunnel): Generator<Uint8Array, void> {
  let lines = new LineBuffer();
  if (tunnel.privateKey !== undefined) lines.addKey("private_key", tunnel.privateKey.bytes);
  if (tunnel.port !== 0) lines.add("listen_port", tunnel.port);
  if (tunnel.mark !== 0) lines.add("fwmark", tunnel.mark);
  for (const peer of tunnel.peers()) {
    if (lines.isFull) {
      yield lines.bytes;
      lines = new LineBuffer();
    }
    lines.addKey("public_key", peer.publicKey.bytes);
    lines.addKey("preshared_key", peer.presharedKey.bytes);
    lines.add("protocol_version", 1);
    // wg(8) takes an address and a port and nothing else, so that a stream shows as the address at its other end.
    const remote = peer.endpoint?.remote;
    if (remote !== undefined) lines.add("endpoint", remote.toString());
    const { lastHandshakeAt = 0 } = peer;
    lines.add("last_handshake_time_sec", Math.floor(lastHandshakeAt / 1000));
    lines.add("last_handshake_time_nsec", Math.floor(lastHandshakeAt % 1000) * 1_000_000);
    lines.add("tx_bytes", peer.sentBytes);
    lines.add("rx_bytes", peer.receivedBytes);
    lines.add("persistent_keepalive_interval", peer.persistentKeepaliveSeconds);
    for (const allowed of peer.allowedIps) {
      if (lines.isFull) {
        yield lines.bytes;
        lines = new LineBuffer();
      }
      lines.add("allowed_ip", allowed.toString());
    }
  }
  yield lines.bytes;
}

/** Lines as bytes from the first, so that no string of a secret is ever made. */
class LineBuffer {
  readonly #buffer = Buffer.alloc(portion);
  #length = 0;

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Whether a peer without allowed IPs, of ten lines, might not fit any more. */
  get isFull(): boolean {
    return this.#length > portion - 11 * largestLine;
  }

  add(key: string, value: string | number): void {
    this.#length += this.#buffer.write(`${key}=${value}\n`, this.#length, "latin1");
  }

  addKey(name: string, key: Uint8Array): void {
    this.#length += this.#buffer.write(`${name}=`, this.#length, "latin1");
    for (const byte of key) {
      this.#buffer[this.#length++] = hexDigits[byte >> 4];
      this.#buffer[this.#length++] = hexDigits[byte & 15];
    }
    this.#length += this.#buffer.write("\n", this.#length, "latin1");
  }
}
