/**
 * `warren lab`: a VPN between hosts made on this machine, checked step by step. The command starts itself again in
 * namespaces of its own, where it is told so by an option that the help does not show.
 */
import { type Command, Option } from "commander";
import { VpnError } from "../base/errors.ts";
import type { StepRecord } from "../lab/record.ts";
import type { Stage } from "../lab/stage.ts";
import { describeStages, loadStage, stageNames } from "../lab/stage-list.ts";
import type { Mode } from "../lab/workbench.ts";

interface LabCommandOptions {
  readonly stage: string;
  readonly json?: boolean;
  readonly break?: string;
  readonly trace?: boolean;
  readonly shell?: boolean;
  /** The process id of the outer command. */
  readonly inside?: string;
}

/** Declares the command; what it needs is loaded when it runs. */
export function labCommand(program: Command): void {
  program
    .command("lab")
    .description("watch a VPN work between hosts made on this machine, as root or as an ordinary user")
    .addOption(new Option("--stage <name>", "what to see").choices(stageNames).default(stageNames[0]))
    .option("--json", "one JSON object on standard output, and nothing else (docs/lab.md)")
    .option("--trace", "follow one ping through every place where it can be seen, and its reply back")
    .addOption(new Option("--shell", "be on the client, in a shell, while the VPN is up").conflicts("trace"))
    .option("--break <part>", "damage one thing: the lab must then fail, and say where")
    .addOption(new Option("--inside <pid>").hideHelp())
    .addHelpText("after", `\nStages, and the parts of each that can be broken:\n${indented(describeStages())}`)
    .action(lab);
}

async function lab(options: LabCommandOptions): Promise<void> {
  const warren = [process.execPath, ...process.execArgv, process.argv[1]];
  if (options.inside !== undefined) return inside(Number(options.inside), warren, options);
  if (options.break !== undefined || modeOf(options) !== "proof") check(await loadStage(options.stage), options);
  const { runInSandbox } = await import("../lab/sandbox.ts");
  const again = [...warren, ...process.argv.slice(2), "--inside", String(process.pid)];
  const onInterrupt = () => console.error("warren: interrupted");
  process.exitCode = await runInSandbox(again, { onInterrupt, input: modeOf(options) === "shell" });
}

async function inside(outer: number, warren: readonly string[], options: LabCommandOptions): Promise<void> {
  const { enterSandbox } = await import("../lab/sandbox.ts");
  const { Program } = await import("../lab/program.ts");
  // At once: what the lab makes of the programs that it loses is no finding.
  using _sandbox = enterSandbox(outer, () => {
    void Program.killAll();
    process.exit(1);
  });
  const { runLab } = await import("../lab/lab.ts");
  const { Report } = await import("../lab/report.ts");
  const stage = await loadStage(options.stage);
  const report = new Report(stage, process.stdout.isTTY && process.stdout.hasColors()); // minds NO_COLOR and TERM=dumb
  const say = (text: string) => options.json === true || console.log(text);
  say(report.head());
  const onStep = (step: StepRecord) => say(report.step(step));
  const output = options.json === true ? 2 : 1;
  const record = await runLab({ stage, warren, broken: options.break, mode: modeOf(options), output, onStep });
  if (options.json === true) console.log(JSON.stringify(record));
  else say(report.verdict(record));
  const failed = record.steps.find((step) => !step.ok);
  if (failed === undefined) return;
  throw new VpnError(
    "lab-step-failed",
    `the lab's step ${failed.name} failed: expected ${failed.expected}, but ${failed.seen}`,
  );
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join("\n");
}

function modeOf({ trace = false, shell = false }: LabCommandOptions): Mode {
  return shell ? "shell" : trace ? "trace" : "proof";
}

/** Throws `invalid-argument` for what this stage cannot do. */
function check({ name, breakages, modes }: Stage, options: LabCommandOptions): void {
  const part = options.break;
  if (part !== undefined && !breakages.includes(part)) {
    const remedy = breakages.length > 0 ? `choose ${breakages.join(", ")}` : "leave out --break";
    throw new VpnError("invalid-argument", `the stage ${name} has no part ${part} to break`, { remedy });
  }
  const mode = modeOf(options);
  if (!modes.includes(mode)) {
    throw new VpnError("invalid-argument", `the stage ${name} has no --${mode}`, { remedy: "choose another stage" });
  }
}
