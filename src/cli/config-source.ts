/** Where `warren up`, `down` and `reload` find a configuration, and what its file's rights allow it. */
import { closeSync, fstatSync, openSync, readFileSync, realpathSync, type Stats, statSync } from "node:fs";
import { basename } from "node:path";
import { getSystemErrorMessage } from "node:util";
import { VpnError } from "../base/errors.ts";
import { type ConfigFile, parseConfigFile } from "../tunnel/config-file.ts";
import { checkTunnelName } from "../tunnel/state-folder.ts";

/** No configuration is near this; a device or a film would otherwise be read to its end. */
const largestFile = 16 * 1024 * 1024;
const folders = ["/etc/wireguard", "/etc/warren"];
const inputName = "standard input";
const standardError = 2;
const characterDevice = 0o020000;
const fileKind = 0o170000;

export interface ConfigSource {
  /** The interface's name, where the configuration's place gives one. */
  readonly name: string | undefined;
  /** Absolute; absent where it cannot be read again: standard input, a pipe, a descriptor that a shell hands over. */
  readonly path: string | undefined;
  readonly config: ConfigFile;
  /** What the operator should know of it, a line each. */
  readonly remarks: readonly string[];
}

/** `wg0` is /etc/wireguard/wg0.conf or /etc/warren/wg0.conf; what holds a slash or ends in .conf is a file; - is input. */
export function findConfig(where: string): { readonly name: string | undefined; readonly path: string | undefined } {
  if (where === "-") return { name: undefined, path: undefined };
  if (descriptorIn(where) !== undefined) return { name: undefined, path: where };
  if (where.includes("/") || where.endsWith(".conf"))
    return { name: basename(where).replace(/\.conf$/, ""), path: where };
  const name = checkTunnelName(where);
  const found = folders.map((folder) => `${folder}/${name}.conf`).find(mayExist);
  if (found !== undefined) return { name, path: found };
  throw new VpnError(
    "not-available",
    `there is no ${folders.map((folder) => `${folder}/${name}.conf`).join(" and no ")}`,
    {
      remedy: "write one, or give the path of another file",
    },
  );
}

/** A file behind a folder that we may not look into is found, so that reading it says why not. */
function mayExist(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true;
  }
}

/** The descriptor that a path such as /dev/fd/63 means, as `<(command)` gives it. */
export function descriptorIn(where: string): number | undefined {
  const number = /^\/(?:dev|proc\/self)\/fd\/([0-9]{1,7})$/.exec(where)?.[1];
  return number === undefined ? undefined : Number(number);
}

/** The tunnel's name in an argument of `down` and `reload`, where the file itself may be gone. */
export function tunnelNameIn(where: string): string {
  return checkTunnelName(basename(where).replace(/\.conf$/, ""));
}

/** Reads and checks a configuration. Throws a `VpnError` that names all that is wrong with it. */
export async function readConfig(where: string): Promise<ConfigSource> {
  const { name, path } = findConfig(where);
  const subject = path ?? inputName;
  const { text, status } = path === undefined ? { text: await readInput(), status: undefined } : readFile(path);
  const config = parse(text, subject);
  const isFile = status?.isFile() === true;
  if (hooksOf(config) > 0) {
    if (path === undefined || !isFile) throw hooksFromElsewhere(subject);
    refuseHooks(path, status);
  }
  const isOpen = isFile && (status.mode & 0o077) !== 0;
  const remarks = isOpen ? [`warning: ${path} holds keys and others may read it: chmod 600 ${path}`] : [];
  const prefix = path === undefined ? "" : `${path}: `;
  return {
    name,
    path: path === undefined || !isFile || descriptorIn(path) !== undefined ? undefined : realpathSync(path),
    config,
    remarks: [...remarks, ...config.remarks.map((remark) => `${prefix}${remark}`)],
  };
}

function hooksFromElsewhere(subject: string): VpnError {
  return new VpnError("not-permitted", `${subject} holds commands (PreUp, PostUp, PreDown, PostDown)`, {
    remedy: "put the configuration into a file: commands are run from files alone, whose owner is known",
  });
}

function parse(text: string, subject: string): ConfigFile {
  try {
    return parseConfigFile(text);
  } catch (error) {
    if (error instanceof VpnError) throw new VpnError(error.code, `${subject}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Piece by piece: what writes it may be slower than we are, and the pipe one that does not wait. */
async function readInput(): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of process.stdin) {
      pieces.push(piece);
      size += piece.length;
      if (size > largestFile) throw noConfiguration(inputName);
    }
  } catch (error) {
    throw unreadable(inputName, error);
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** A descriptor that was handed over is closed, too. */
function readFile(path: string): { text: string; status: Stats } {
  let fd: number | undefined;
  try {
    const handed = descriptorIn(path);
    fd = handed !== undefined && handed > standardError ? handed : openSync(path, "r");
    const status = fstatSync(fd);
    if (status.size > largestFile || (status.mode & fileKind) === characterDevice) throw noConfiguration(path);
    return { text: readFileSync(fd, "utf8"), status };
  } catch (error) {
    throw unreadable(path, error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function noConfiguration(subject: string): VpnError {
  return new VpnError("invalid-configuration", `${subject} is no configuration file`);
}

function unreadable(subject: string, error: unknown): VpnError {
  if (error instanceof VpnError) return error;
  const { code, errno } = error as NodeJS.ErrnoException;
  const why = errno === undefined ? String(error) : getSystemErrorMessage(errno);
  const advice = code === "EACCES" ? { remedy: "run as root, or as its owner" } : {};
  return new VpnError("not-available", `cannot read ${subject}: ${why}`, { cause: error, ...advice });
}

function hooksOf({ interface: { hooks } }: ConfigFile): number {
  return hooks.preUp.length + hooks.postUp.length + hooks.preDown.length + hooks.postDown.length;
}

/** Whoever can write the file would otherwise run commands as whoever starts the tunnel. */
function refuseHooks(path: string, { uid, mode }: Stats): void {
  const complaint = `${path} holds commands (PreUp, PostUp, PreDown, PostDown)`;
  if (process.env.WARREN_HOOKS === "refuse") {
    throw new VpnError("not-permitted", `${complaint}, which WARREN_HOOKS=refuse forbids`, {
      remedy: "take them out, or allow them: for the systemd unit by a drop-in with Environment=WARREN_HOOKS=allow",
    });
  }
  if ((uid !== 0 && uid !== process.geteuid?.()) || (mode & 0o022) !== 0) {
    throw new VpnError("not-permitted", `${complaint}, and others than its owner or root may write it`, {
      remedy: `chown root ${path} && chmod 600 ${path}`,
    });
  }
}
