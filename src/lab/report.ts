/** The lab's record for a reader: a line per step as it is done, under it what there is to see, and the verdict. Pure. */
import type { LabRecord, PingRun, StepDetails, StepName, StepRecord, TunnelStart, VerifiedStep } from "./record.ts";
import { drawing } from "./topology.ts";

type Paint = (text: string) => string;

/** How to set off what matters; without colours, each is the text itself. */
interface Palette {
  readonly good: Paint;
  readonly bad: Paint;
  readonly faint: Paint;
  readonly strong: Paint;
}

/** A step in words: what was seen, and lines of evidence. */
interface Account {
  readonly summary: string;
  readonly evidence?: readonly string[];
}

const nameWidth = 14;
const indent = " ".repeat(4);

export class Report {
  readonly #palette: Palette;

  constructor(colours: boolean) {
    const paint = (code: number): Paint => (colours ? (text) => `\u001b[${code}m${text}\u001b[0m` : (text) => text);
    this.#palette = { good: paint(32), bad: paint(31), faint: paint(2), strong: paint(1) };
  }

  /** Before the first step. */
  head(): string {
    const { strong, faint } = this.#palette;
    const title = strong("A VPN between hosts made on this machine, each a network namespace:");
    return [title, "", ...drawing.map((line) => faint(`  ${line}`)), ""].join("\n");
  }

  step(step: StepRecord): string {
    const { good, bad, faint, strong } = this.#palette;
    const mark = step.ok ? good("✓") : bad("✗");
    const time = faint(`${step.milliseconds.toFixed(0).padStart(6)} ms`);
    const { summary, evidence = [] } = step.ok ? account(step) : { summary: `expected ${step.expected}` };
    const but = step.ok ? [] : [bad(`${indent}  but ${step.seen}`)];
    const shown = evidence
      .map((line) => (line.endsWith(chosenMark) ? good(line) : line))
      .map((line) => `${indent}${line}`);
    return [`${mark} ${strong(step.name.padEnd(nameWidth))}${time}  ${summary}`, ...but, ...shown].join("\n");
  }

  /** After the last step. */
  verdict(record: LabRecord): string {
    const { good, bad, strong } = this.#palette;
    const seconds = `${(record.milliseconds / 1000).toFixed(1)} s`;
    const who = record.privilege === "root" ? "as root" : "as an ordinary user";
    const failed = record.steps.find((step) => !step.ok);
    const words =
      failed === undefined
        ? good(`Every step was verified, in ${seconds}, ${who}.`)
        : bad(`The step ${failed.name} failed, after ${seconds}, ${who}.`);
    return `\n${strong(words)}`;
  }
}

const chosenMark = "◀ chosen";

function account<N extends StepName>(step: VerifiedStep<N>): Account {
  const describe: (detail: StepDetails[N]) => Account = accounts[step.name];
  return describe(step.detail);
}

const accounts: { readonly [N in StepName]: (detail: StepDetails[N]) => Account } = {
  topology: ({ hosts, links }) => ({ summary: `${hosts} hosts, ${links} links, nothing of this machine's touched` }),
  direct: ({ ping, seenFrom }) => ({
    summary: `without a tunnel ${ping.destination} answers too, and sees the home router: ${seenFrom}`,
  }),
  server: (start) => ({ summary: `${tunnel(start)}, forwards, NAT44 and NAT66` }),
  client: (start) => ({ summary: tunnel(start) }),
  route: ({ routes }) => ({
    summary: "the client's routing table, and what its kernel chooses",
    evidence: routes.map(({ destination, via, device, chosenFor }) => {
      const chosen = chosenFor === null ? "" : `  ${chosenMark}`;
      return `${destination.padEnd(26)} ${(via === null ? "" : `via ${via}`).padEnd(21)} dev ${device.padEnd(4)}${chosen}`.trimEnd();
    }),
  }),
  handshake: ({ initiationBytes, responseBytes }) => ({
    summary: `initiation of ${initiationBytes} bytes, response of ${responseBytes}, first data message`,
  }),
  forward: ({ requests }) => ({
    summary: `the server passed on ${requests.map(({ count, destination }) => `${count} pings to ${destination}`).join(", ")}`,
  }),
  nat: ({ seen }) => ({
    summary: `the dns host sees the server instead: ${seen.map(({ source }) => source).join(", ")}`,
  }),
  ping: ({ runs }) => ({
    summary: `an unmodified program in the client: ${runs[0]?.program}`,
    evidence: runs.flatMap(replies),
  }),
  dns: ({ answers }) => ({
    summary: "another, Node's own resolver, asks through the tunnel",
    evidence: answers.map(
      ({ server, name, type, addresses, milliseconds }) =>
        `${name} ${type.padEnd(4)} from ${server}: ${addresses.join(", ")}, ${milliseconds.toFixed(1)} ms`,
    ),
  }),
  eavesdropper: ({ packets, bytes, message, secrets }) => ({
    summary: `the home router captured ${packets} packets, ${bytes} bytes, such as`,
    evidence: [
      `type ${message.type} (${message.kind}), receiver ${hex32(message.receiver)}, counter ${message.counter}, ${message.bytes} bytes:`,
      `${groups(message.ciphertext ?? "")} …`,
      `${"packets that contain".padEnd(36)}on the router  in the client's ${"wg0"}`,
      ...secrets.map(
        ({ what, seenByEavesdropper, seenInTunnel }) =>
          `  ${what.padEnd(34)}${String(seenByEavesdropper).padStart(13)}  ${String(seenInTunnel).padStart(17)}`,
      ),
    ],
  }),
  throughput: ({ gigabitsPerSecond, seconds, bytes }) => ({
    summary: `${gigabitsPerSecond.toFixed(2)} Gbit/s: ${(bytes / 1e6).toFixed(0)} MB over one TCP connection in ${seconds.toFixed(1)} s`,
  }),
  teardown: ({ tunnels }) => ({
    summary: "all of it is gone",
    evidence: tunnels.map(({ host, sentBytes, receivedBytes, drops }) => {
      const list = Object.entries(drops).map(([reason, count]) => `${count} ${reason}`);
      return `${host.padEnd(7)} sent ${megabytes(sentBytes)}, received ${megabytes(receivedBytes)}, dropped ${list.join(", ") || "nothing"}`;
    }),
  }),
};

function tunnel({ addresses, port, mtu, aead, readyMs }: TunnelStart): string {
  return `wg0 ${addresses.join(", ")}; UDP ${port}, MTU ${mtu}, cipher ${aead}, ready in ${readyMs} ms`;
}

function replies({ replies: all }: PingRun): string[] {
  return all.map(
    ({ bytes, from, sequence, milliseconds }) =>
      `${bytes} bytes from ${from}: icmp_seq=${sequence} time=${milliseconds} ms`,
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function hex32(value: number | null): string {
  return value === null ? "none" : `0x${value.toString(16).padStart(8, "0")}`;
}

function groups(hex: string): string {
  return hex.match(/.{1,4}/g)?.join(" ") ?? "";
}
