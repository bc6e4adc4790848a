/**
 * OpenVPN as Debian has it: point to point over UDP, TLS between two certificates that know each other's fingerprint,
 * ChaCha20-Poly1305, in user space (no kernel module for data), the inner MTU everybody has here. Nothing is tuned.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VpnError } from "../../src/base/errors.ts";
import type { Contestant } from "../contestant.ts";
import { Program } from "../program.ts";
import { type Host, mtu } from "../two-hosts.ts";

/** The one at `path`, or on the PATH. Throws `not-available`, naming the Debian package, where there is none. */
export function openvpn(path = "openvpn"): Contestant {
  return {
    name: "openvpn",
    version: openvpnVersion(path),
    open: async ({ a, b }, resources, signal) => {
      const [atA, atB] = [resources.use(new Certificate("a")), resources.use(new Certificate("b"))];
      const start = (
        host: Host,
        peer: Host,
        role: readonly string[],
        own: Certificate,
        peers: Certificate,
      ): Program => {
        const command = [path, "--dev", "bench", "--dev-type", "tun", "--disable-dco", "--tun-mtu", String(mtu)];
        command.push("--ifconfig", host.v4.address.toString(), peer.v4.address.toString());
        command.push("--ifconfig-ipv6", host.v6.toString(), peer.v6.address.toString());
        command.push("--proto", host.endpoint.family === 4 ? "udp4" : "udp6", "--lport", String(host.endpoint.port));
        command.push("--remote", peer.endpoint.address.toString(), String(peer.endpoint.port));
        command.push(...role, "--cert", own.certificate, "--key", own.key, "--peer-fingerprint", peers.fingerprint);
        command.push("--data-ciphers", "CHACHA20-POLY1305", "--cipher", "CHACHA20-POLY1305");
        return resources.use(new Program(host.namespace, command, signal));
      };
      const programB = start(b, a, ["--tls-server", "--dh", "none"], atB, atA);
      const programA = start(a, b, ["--tls-client"], atA, atB);
      const ready = async (program: Program): Promise<void> => {
        while (!/Initialization Sequence Completed/.test(await program.line()));
      };
      await Promise.all([ready(programA), ready(programB)]);
      return { a: programA, b: programB };
    },
  };
}

function openvpnVersion(path: string): string {
  const { error, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
  const version = /^OpenVPN ([0-9][^ ]*)/.exec(stdout ?? "")?.[1];
  if (error === undefined && version !== undefined) return version;
  throw new VpnError("not-available", `${path} is not installed, or no OpenVPN`, {
    remedy: "apt-get install openvpn, or give its path as --against openvpn=PATH",
  });
}

/** A self-signed one with its key, as files of a folder of their own. */
class Certificate implements Disposable {
  readonly certificate: string;
  readonly key: string;
  /** SHA-256 over the DER form, in pairs of digits between colons. */
  readonly fingerprint: string;
  readonly #folder: string;

  constructor(name: string) {
    this.#folder = mkdtempSync(join(tmpdir(), "warren-bench-"));
    this.certificate = join(this.#folder, "certificate.pem");
    this.key = join(this.#folder, "key.pem");
    try {
      const made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
      openssl("req", "-x509", ...made, "-subj", `/CN=${name}`, "-keyout", this.key, "-out", this.certificate);
      const said = openssl("x509", "-in", this.certificate, "-noout", "-fingerprint", "-sha256");
      this.fingerprint = said.trim().replace(/^.*=/, "");
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function openssl(...parameters: string[]): string {
  const { error, status, stdout, stderr } = spawnSync("openssl", parameters, { encoding: "utf8" });
  if (error === undefined && status === 0) return stdout;
  throw new VpnError("not-available", `openssl ${parameters[0]} failed: ${error?.message ?? stderr.trim()}`, {
    remedy: "apt-get install openssl",
  });
}
