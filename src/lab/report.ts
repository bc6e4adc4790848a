/** The lab's record for a reader: a line per step as it is done, under it what there is to see, and the verdict. Pure. */
import type { FrameSteps, LabRecord, StepRecord, TunnelEnd, VerifiedStep } from "./record.ts";
import { type Account, highlightMark, type Stage, type StagePlan } from "./stage.ts";

type Paint = (text: string) => string;

/** How to set off what matters; without colours, each is the text itself. */
interface Palette {
  readonly good: Paint;
  readonly bad: Paint;
  readonly faint: Paint;
  readonly strong: Paint;
}

const nameWidth = 14;
const indent = " ".repeat(4);

export class Report {
  readonly #stage: Stage;
  readonly #palette: Palette;

  constructor(stage: Stage, colours: boolean) {
    this.#stage = stage;
    const paint = (code: number): Paint => (colours ? (text) => `\u001b[${code}m${text}\u001b[0m` : (text) => text);
    this.#palette = { good: paint(32), bad: paint(31), faint: paint(2), strong: paint(1) };
  }

  /** Before the first step. */
  head(): string {
    const { strong, faint } = this.#palette;
    const title = strong(`${this.#stage.description}:`);
    return [title, "", ...this.#stage.drawing.map((line) => faint(`  ${line}`)), ""].join("\n");
  }

  step(step: StepRecord): string {
    const { good, bad, faint, strong } = this.#palette;
    const mark = step.ok ? good("✓") : bad("✗");
    const time = faint(`${step.milliseconds.toFixed(0).padStart(6)} ms`);
    const { summary, evidence = [] } = step.ok ? this.#account(step) : { summary: `expected ${step.expected}` };
    const but = step.ok ? [] : [bad(`${indent}  but ${step.seen}`)];
    const shown = evidence
      .map((line) => (line.includes(highlightMark) ? good(line) : line))
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

  #account(step: VerifiedStep): Account {
    if (step.name === "topology") return frame.topology(step.detail as FrameSteps["topology"]);
    if (step.name === "teardown") return frame.teardown(step.detail as FrameSteps["teardown"]);
    return this.#stage.account(step);
  }
}

const frame: StagePlan<FrameSteps>["accounts"] = {
  topology: ({ hosts, links }) => ({
    summary: `${count(hosts, "host")}, ${count(links, "link")}, nothing of this machine's touched`,
  }),
  teardown: ({ tunnels }) => ({ summary: "all of it is gone", evidence: tunnels.map(end) }),
};

function end({ host, sentBytes, receivedBytes, drops }: TunnelEnd): string {
  const list = Object.entries(drops).map(([reason, count]) => `${count} ${reason}`);
  const carried =
    sentBytes === null || receivedBytes === null
      ? "ended"
      : `sent ${megabytes(sentBytes)}, received ${megabytes(receivedBytes)}`;
  return `${host.padEnd(7)} ${carried}, dropped ${list.join(", ") || "nothing"}`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
