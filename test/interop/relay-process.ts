/** `warren relay` in a host, started as an operator would. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "../certificate.ts";
import type { Machine, Outcome, Program } from "./machine.ts";
import { warrenCommand } from "./warren-process.ts";

/** What it says of itself as the last thing, as far as tests ask. */
export interface RelayReport {
  readonly links: number;
  readonly sentDatagrams: number;
  readonly receivedDatagrams: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly closed: Readonly<Record<string, number>>;
  readonly guests?: Readonly<Record<string, number>>;
}

export class RelayProcess {
  readonly program: Program;

  /** Starts it and waits until it listens. */
  static async start(host: Machine, ...parameters: readonly string[]): Promise<RelayProcess> {
    const relay = new RelayProcess(host.start(warrenCommand([], "relay", ...parameters, "--json")));
    await relay.event("ready");
    return relay;
  }

  private constructor(program: Program) {
    this.program = program;
  }

  /** Waits for the next event of a kind. */
  async event(kind: string, patienceMs?: number): Promise<Readonly<Record<string, unknown>>> {
    return JSON.parse(await this.program.line(new RegExp(`^\\{"event":"${kind}"`), patienceMs));
  }

  /** Ends it by a signal, and returns what it said last, and how long that took. */
  async stop(): Promise<Outcome & { readonly report: RelayReport; readonly elapsedMs: number }> {
    const begun = performance.now();
    this.program.kill("SIGTERM");
    const outcome = await this.program.outcome;
    const elapsedMs = performance.now() - begun;
    return { ...outcome, elapsedMs, report: JSON.parse(outcome.stdout.trimEnd().split("\n").at(-1) ?? "") };
  }
}

/** A certificate in files, as the command takes it. */
export class CertificateFiles implements Disposable {
  readonly cert: string;
  readonly key: string;
  readonly #folder: string = mkdtempSync(join(tmpdir(), "warren-relay-"));

  constructor() {
    this.cert = join(this.#folder, "cert.pem");
    this.key = join(this.#folder, "key.pem");
    this.renew();
  }

  /** Puts another in its place. */
  renew(): void {
    const { cert, key } = makeCertificate();
    writeFileSync(this.cert, cert);
    writeFileSync(this.key, key, { mode: 0o600 });
  }

  /** A further file beside them. */
  write(name: string, text: string): string {
    const path = join(this.#folder, name);
    writeFileSync(path, text);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}
