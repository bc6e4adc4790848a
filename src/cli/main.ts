/**
 * The command `warren`: reads arguments, runs one subcommand, and turns what went wrong into one line and an exit code:
 * 0 done, 1 failed, 2 wrong usage. Subcommands load what they need when they run.
 */
import { Command, CommanderError } from "commander";
import { VpnError } from "../base/errors.ts";
import { doctorCommand } from "./doctor-command.ts";
import { labCommand } from "./lab-command.ts";
import { upCommand } from "./up-command.ts";

const commands = [labCommand, upCommand, doctorCommand];

const program = new Command("warren").exitOverride().showHelpAfterError(false);
for (const command of commands) command(program);
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    console.error(`warren: ${error instanceof VpnError ? error.line : String(error)}`);
    process.exitCode = 1;
  }
}
