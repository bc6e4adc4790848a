/**
 * Two tunnels on an underlay of which the left reaches the right by whatever the test says; UDP may be blocked between
 * them at any time, by rules of nf_tables on the left.
 */
import { randomBytes } from "node:crypto";
import { PrivateKey } from "../../src/base/keys.ts";
import { CertificateFiles, RelayProcess } from "./relay-process.ts";
import { publicKeyOf } from "./tunnel-pair.ts";
import { Underlay } from "./underlay.ts";
import { uniqueName } from "./userspace-wireguard.ts";
import { WarrenProcess } from "./warren-process.ts";
import { WireguardGo } from "./wireguard-go.ts";

export const inside = { left: "10.8.0.1", right: "10.8.0.2" } as const;
export const serverPort = 51_820;

export interface StreamPairOptions {
  /** Further lines of the left's [Peer]: its endpoints. */
  readonly peer: readonly string[];
  /** Further lines of the right's [Interface]: where it listens. */
  readonly listen: readonly string[];
  readonly allowedIps?: string;
  /** Of the left's `warren up`. */
  readonly arguments?: readonly string[];
}

export class StreamPair implements Disposable {
  readonly underlay: Underlay;
  readonly files: CertificateFiles;
  readonly #keys = { left: new PrivateKey(randomBytes(32)), right: new PrivateKey(randomBytes(32)) };
  readonly #undo: DisposableStack;

  constructor() {
    using undo = new DisposableStack();
    this.underlay = undo.use(new Underlay());
    this.files = undo.use(new CertificateFiles());
    this.#undo = undo.move();
  }

  async startLeft(options: StreamPairOptions): Promise<WarrenProcess> {
    const { peer, allowedIps = `${inside.right}/32`, arguments: more = [] } = options;
    const config = [
      ...["[Interface]", `PrivateKey = ${this.#keys.left.reveal()}`, `Address = ${inside.left}/24`],
      ...["[Peer]", `PublicKey = ${publicKeyOf(this.#keys.right)}`, `AllowedIPs = ${allowedIps}`, ...peer],
    ];
    return await WarrenProcess.start(this.underlay.left, "wg0", config.join("\n"), {
      ownSockets: true,
      arguments: more,
    });
  }

  async startRight({ listen }: StreamPairOptions): Promise<WarrenProcess> {
    const config = [
      ...["[Interface]", `PrivateKey = ${this.#keys.right.reveal()}`, `Address = ${inside.right}/24`],
      ...[`ListenPort = ${serverPort}`, ...listen],
      ...["[Peer]", `PublicKey = ${publicKeyOf(this.#keys.left)}`, `AllowedIPs = ${inside.left}/32`],
    ];
    return await WarrenProcess.start(this.underlay.right, "wg0", config.join("\n"), { ownSockets: true });
  }

  /** wireguard-go in the right's place, and a relay beside it for streams. */
  async startStockRight(program: string, listen: string): Promise<WireguardGo> {
    const { right } = this.underlay;
    const name = uniqueName();
    const stock = this.#undo.use(
      await WireguardGo.start(right, program, name, [
        `private_key=${Buffer.from(this.#keys.right.bytes).toString("hex")}`,
        `listen_port=${serverPort}`,
        `public_key=${publicKeyOf(this.#keys.left).hex}`,
        `allowed_ip=${inside.left}/32`,
      ]),
    );
    await right.run("ip", "address", "add", `${inside.right}/24`, "dev", name);
    await right.run("ip", "link", "set", name, "up");
    await RelayProcess.start(right, listen, `udp://127.0.0.1:${serverPort}`);
    return stock;
  }

  /** Nothing of UDP passes between the two hosts any more, either way. */
  async blockUdp(): Promise<void> {
    const rules = ["in", "out"].map((way) => {
      const [hook, match] = way === "in" ? ["input", "iifname"] : ["output", "oifname"];
      return `chain ${way} { type filter hook ${hook} priority 0; ${match} eth0 meta l4proto udp counter drop; }`;
    });
    await this.underlay.left.run("nft", `table inet block { ${rules.join("\n")}\n}\n`);
  }

  async releaseUdp(): Promise<void> {
    await this.underlay.left.run("nft", "delete", "table", "inet", "block");
  }

  [Symbol.dispose](): void {
    this.#undo[Symbol.dispose]();
  }
}
