/**
 * The command `warren`: reads arguments, runs one subcommand, and turns what went wrong into one line on standard error
 * and an exit status: 0 done, 1 failed, 2 wrong usage. A subcommand loads what it needs when it runs.
 */
import { readFileSync } from "node:fs";
import { getSystemErrorMessage, inspect } from "node:util";
import { Command, CommanderError } from "commander";
import { VpnError } from "../base/errors.ts";
import { commands } from "./commands.ts";

const Status = { failed: 1, usage: 2 } as const;

let outputLost = false;
process.stdout.on("error", loseOutput);
process.stderr.on("error", () => {}); // there is nobody left to tell
const program = createProgram();
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function createProgram(): Command {
  const program = new Command("warren")
    .description("a WireGuard VPN in userspace")
    .version(readVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help, or a command's")
    .option("--verbose", "say more about what went wrong")
    .exitOverride()
    .configureOutput({
      outputError: (text) => process.stderr.write(usageLine(text)),
      writeErr: () => {}, // all of the help, where no command is given: see report
    });
  for (const command of commands) command(program);
  return program;
}

function readVersion(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}

/** What commander says of wrong usage, in one line. */
function usageLine(text: string): string {
  const complaint = text.replace(/^error: /, "").trim();
  return `warren: ${complaint.replace(/\s*\n\s*/g, " ")} (${commandIn(process.argv.slice(2))} --help tells more)\n`;
}

/** The command that the arguments name, as it is typed. */
function commandIn(words: readonly string[]): string {
  let command = program;
  const path = [command.name()];
  for (const word of words.filter((argument) => !argument.startsWith("-"))) {
    const next = command.commands.find((child) => child.name() === word);
    if (next === undefined) break;
    command = next;
    path.push(word);
  }
  return path.join(" ");
}

/** Says what went wrong, once, and returns the exit status. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    if (error.code === "commander.help") process.stderr.write(usageLine("no command given"));
    return Status.usage; // of everything else commander has spoken already
  }
  const { verbose } = program.opts<{ verbose?: boolean }>();
  console.error(`warren: ${error instanceof VpnError ? error.line : firstLine(error)}`);
  if (verbose === true) console.error(inspect(error));
  // What a configuration says wrongly has a code of its own: this was an argument.
  return error instanceof VpnError && error.code === "invalid-argument" ? Status.usage : Status.failed;
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `${message.split("\n", 1)[0]} (--verbose tells more)`;
}

/**
 * Whoever reads our output may leave: that is no error. Where it could not be written it is one, but what has been set
 * up is still to be undone in good order: the command goes on, and fails in the end.
 */
function loseOutput(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE" || outputLost) return;
  outputLost = true;
  const why = error.errno === undefined ? error.message : getSystemErrorMessage(error.errno);
  console.error(`warren: cannot write the output: ${why}`);
  process.once("exit", (status) => {
    if (status === 0) process.exitCode = Status.failed;
  });
}
