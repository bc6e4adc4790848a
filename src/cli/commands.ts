/** The subcommands of `warren`, in the order in which its help names them. Each declares itself, and runs when asked. */
import type { Command } from "commander";
import { classicCommand } from "./classic-command.ts";
import { doctorCommand } from "./doctor-command.ts";
import { downCommand } from "./down-command.ts";
import { keyCommands } from "./key-commands.ts";
import { labCommand } from "./lab-command.ts";
import { relayCommand } from "./relay-command.ts";
import { reloadCommand } from "./reload-command.ts";
import { showCommand } from "./show-command.ts";
import { traceCommand } from "./trace-command.ts";
import { upCommand } from "./up-command.ts";

export const commands: readonly ((program: Command) => void)[] = [
  labCommand,
  upCommand,
  downCommand,
  reloadCommand,
  showCommand,
  traceCommand,
  relayCommand,
  classicCommand,
  keyCommands,
  doctorCommand,
];
