/**
 * Becomes another program: `become FILE ARGUMENT...`. It ends with the lab as this process would have, since the kernel
 * keeps the leash's promise (PR_SET_PDEATHSIG) when one program takes the place of another. With `--foreground` first,
 * it takes the terminal for itself before, as the first of its process numbers must: no group of theirs has it yet.
 */
import { restoreSignals, takeTerminal } from "../../os/process.ts";

const [first, ...rest] = process.argv.slice(2);
const foreground = first === "--foreground";
const [file, ...parameters] = foreground ? rest : [first, ...rest];
if (foreground) takeTerminal(0);
restoreSignals();
process.execve?.(file, [file, ...parameters], process.env);
