/** What a process of ours arranges about itself, first thing, before it has started a thread. */
import { closeSync, fstatSync, openSync } from "node:fs";
import { libc } from "./libc.ts";
import { must } from "./system-error.ts";

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
const SIG_DFL = 0;
const SIG_IGN = 1;
const SIGTTOU = 22;
const TIOCSPGRP = 0x5410;
/** What Node ignores, which a program that takes its place would inherit: SIGPIPE and SIGXFSZ. */
const ignoredSignals: readonly number[] = [13, 25];
const CLONE_NEWNS = 0x2_0000;
const MS_NOSUID_NODEV = 2 | 4;
const MS_REC_PRIVATE = 0x4000 | 0x4_0000;

/**
 * Has the kernel kill this process when the thread that spawned it ends: for the main thread of `parent`, that is when
 * `parent` is gone, however it went. `parent` is the process id that the parent told us; where it has already gone, this
 * process ends here, as it would have a moment later.
 */
export function dieWithParent(parent: number): void {
  must("prctl", libc.prctl(PR_SET_PDEATHSIG, SIGKILL), { subject: "for the parent's death" });
  if (process.ppid !== parent) process.kill(process.pid, "SIGKILL");
}

/**
 * Gives this thread, and the threads and processes it starts from now on, an empty /run of their own, where control
 * sockets can be made without root's help and without touching the host's. Needs root, real or of a user namespace. The
 * main thread calls it before anything has used the thread pool, whose threads would keep the old one.
 */
export function mountPrivateRun(): void {
  must("unshare", libc.unshare(CLONE_NEWNS), { subject: "for a mount namespace" });
  must("mount", libc.mount("none", "/", "none", MS_REC_PRIVATE, null), { subject: "to make / private" });
  must("mount", libc.mount("tmpfs", "/run", "tmpfs", MS_NOSUID_NODEV, "mode=0755"), { subject: "of a tmpfs on /run" });
}

/**
 * Puts /dev/null in the place of standard input, output and error, so that nobody's terminal or pipe is held any longer.
 * Output that goes to a regular file stays: that is a log.
 */
export function releaseStandardStreams(): void {
  const nothing = openSync("/dev/null", "r+");
  for (const fd of [0, 1, 2]) {
    if (fd > 0 && fstatSync(fd).isFile()) continue;
    must("dup2", libc.dup2(nothing, fd), { subject: `of /dev/null to ${fd}` });
  }
  closeSync(nothing);
}

/** Undoes what Node did to this process's signals, for a program that takes its place. */
export function restoreSignals(): void {
  for (const number of ignoredSignals) must("signal", libc.signal(number, SIG_DFL), { subject: `for ${number}` });
}

/** Makes this process a group of its own, and that the foreground of the terminal on `fd` (tcsetpgrp(3)). */
export function takeTerminal(fd: number): void {
  must("setpgid", libc.setpgid(0, 0), { subject: "for a group of its own" });
  must("signal", libc.signal(SIGTTOU, SIG_IGN), { subject: "for SIGTTOU" }); // who is in the background would be stopped
  must("TIOCSPGRP", libc.ioctl(fd, TIOCSPGRP, new Uint8Array(Int32Array.of(process.pid).buffer)));
  must("signal", libc.signal(SIGTTOU, SIG_DFL), { subject: "for SIGTTOU" });
}
