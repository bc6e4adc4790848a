/**
 * A host on which `warren up`, `down` and `reload` are run as by an operator: with an /etc and a /run of its own, and with
 * all that they may change to be looked at.
 */
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Machine, Outcome, Program } from "./machine.ts";
import { warrenCommand } from "./warren-process.ts";

/** What programs need of the machine's own /etc. */
const kept = ["alternatives", "group", "iproute2", "ld.so.cache", "nsswitch.conf", "passwd", "protocols", "services"];
/** What shows the state of a host, by subject. */
const shown = {
  links: "ip -o link",
  addresses: "ip -o address",
  routes4: "ip -4 route show table all",
  routes6: "ip -6 route show table all",
  rules4: "ip -4 rule",
  rules6: "ip -6 rule",
  nftables: "nft list ruleset",
} as const;
/** Counters of use, and what the kernel works out from its memory and its uptime. */
const restless = /\/(route\/(gc_|max_size|min_pmtu)|netfilter\/nf_conntrack_count|nf_conntrack_|somaxconn)/;
export const formerResolvers = "nameserver 203.0.113.53\nsearch example.org\n";

export class ManagedHost implements Disposable {
  readonly machine: Machine;
  readonly folder: string = mkdtempSync(join(tmpdir(), "warren-host-"));

  constructor(machine: Machine) {
    this.machine = machine;
    mkdirSync(join(this.folder, "etc/wireguard"), { recursive: true, mode: 0o755 });
    mkdirSync(join(this.folder, "run"));
    for (const name of kept.filter((file) => existsSync(`/etc/${file}`))) {
      cpSync(`/etc/${name}`, join(this.folder, "etc", name), { recursive: true, verbatimSymlinks: true });
    }
    writeFileSync(join(this.folder, "etc/hosts"), "127.0.0.1 localhost\n");
    writeFileSync(join(this.folder, "etc/resolv.conf"), formerResolvers);
  }

  /** Writes /etc/wireguard/NAME.conf. */
  configure(name: string, text: string, mode = 0o600): void {
    writeFileSync(this.path(`etc/wireguard/${name}.conf`), text, { mode });
  }

  /** A file of this host, by its path without the leading slash. */
  path(file: string): string {
    return join(this.folder, file);
  }

  read(file: string): string {
    return readFileSync(this.path(file), "utf8");
  }

  write(file: string, text: string): void {
    writeFileSync(this.path(file), text);
  }

  /** The files in which warren remembers what is to be undone. */
  notes(): string[] {
    return globSync("{run/warren,state}/**/*.{json,journal}", { cwd: this.folder });
  }

  /** Starts a command in this host, with its /etc and its /run. */
  start(command: readonly string[], environment: Readonly<Record<string, string>> = {}): Program {
    const settings = { WARREN_STATE_DIRECTORY: this.path("state"), ...environment };
    const variables = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
    const script = 'mount --bind "$1/etc" /etc && mount --bind "$1/run" /run && shift && exec "$@"';
    // Node complains of certificates that are not in this /etc.
    const setting = ["env", "--unset=NODE_EXTRA_CA_CERTS", ...variables];
    const inside = ["unshare", "--mount", "sh", "-c", script, "sh", this.folder, ...setting];
    return this.machine.start([...inside, ...command], "");
  }

  /** The command that runs `warren` with these arguments. */
  command(...parameters: string[]): string[] {
    return warrenCommand([], ...parameters);
  }

  /** `warren up NAME --foreground --json`, until it is ready; further arguments as given. */
  async up(name: string, ...parameters: string[]): Promise<Program> {
    const program = this.start(this.command("up", name, "--foreground", "--json", ...parameters));
    await program.line(/"event":"ready"/);
    return program;
  }

  /** Runs `warren` with these arguments to its end. */
  warren(...parameters: string[]): Promise<Outcome> {
    return this.start(this.command(...parameters)).outcome;
  }

  /** All that a tunnel may change, as text by subject. */
  async state(): Promise<Readonly<Record<string, string>>> {
    const questions = [...Object.values(shown), "grep -rs . /proc/sys/net || true"].join("; echo ----; ");
    const answers = (await this.machine.run("sh", "-c", questions)).split("----\n");
    // A link's own address comes when the kernel pleases, seconds after the link.
    const texts = Object.keys(shown).map(
      (subject, i) => [subject, answers[i].replace(/^.*\bfe80:.*\n/gm, "")] as const,
    );
    return {
      ...Object.fromEntries(texts),
      sysctls: answers[texts.length]
        .split("\n")
        .filter((line) => !restless.test(line))
        .sort()
        .join("\n"),
      resolvers: this.read("etc/resolv.conf"),
      state: JSON.stringify(existsSync(this.path("state")) ? readdirSync(this.path("state")) : []),
    };
  }

  /** Ends what a failed test has left in the background, too. */
  [Symbol.dispose](): void {
    for (const journal of this.notes().filter((file) => file.endsWith(".journal"))) {
      const pid = Number(/"pid":([0-9]+)(?!.*"pid")/s.exec(this.read(journal))?.[1]);
      if (isTunnel(pid)) process.kill(pid, "SIGKILL");
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The lines by which two states differ, by subject; none where they are the same. */
export function difference(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): Record<string, readonly string[]> {
  const lines = (text: string | undefined) => (text ?? "").split("\n");
  const found = Object.keys(before).map((subject) => {
    const [former, latter] = [lines(before[subject]), lines(after[subject])];
    const gone = former.filter((line) => !latter.includes(line)).map((line) => `- ${line}`);
    const come = latter.filter((line) => !former.includes(line)).map((line) => `+ ${line}`);
    return [subject, [...gone, ...come]] as const;
  });
  return Object.fromEntries(found.filter(([, changes]) => changes.length > 0));
}

function isTunnel(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("\0up\0");
  } catch {
    return false;
  }
}
