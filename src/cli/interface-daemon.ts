/** What `warren-wg` does once its arguments are read: one interface and its control socket, until something ends them. */
import { writeFileSync } from "node:fs";
import { ControlSocket } from "../api/control-socket.ts";
import type { VpnError } from "../base/errors.ts";
import { Tunnel } from "../tunnel/tunnel.ts";
import { inBackground, leaveCaller } from "./background.ts";
import { chosenAead } from "./chosen-aead.ts";

export interface InterfaceDescriptors {
  /** A TUN device to take over. */
  readonly tun: number | undefined;
  /** A socket to listen on in place of our own. */
  readonly control: number | undefined;
}

type End = "signal" | "socket removed" | "interface deleted";

/** Resolves when a signal, the deletion of the interface or the removal of the socket has ended it, in good order. */
export async function runInterface(name: string, descriptors: InterfaceDescriptors): Promise<void> {
  const isVerbose = ["verbose", "debug"].includes(process.env.LOG_LEVEL ?? "");
  const isSilent = process.env.LOG_LEVEL === "silent";
  const say = (of: string, text: string) => isVerbose && console.log(`DEBUG: (${of}) ${timestamp()} ${text}`);
  const signal = signalled(); // from here on: an end asked for while it comes up is an orderly one, too
  let shownName = name; // of a template or of a descriptor the name is known once it is open
  const log = (text: string) => void say(shownName, text);
  const complain = (text: string) => isSilent || console.error(`ERROR: (${shownName}) ${timestamp()} ${text}`);
  const notice = ({ line }: VpnError) => void complain(line);
  await using tunnel = await Tunnel.open({ name, tunFd: descriptors.tun, aead: chosenAead(), log, notice });
  shownName = tunnel.name;
  await using control = await ControlSocket.open(tunnel.name, {
    tunnel,
    ...(descriptors.control === undefined ? {} : { descriptor: descriptors.control }),
    log: (line) => void complain(`UAPI: ${line}`),
  });
  const nameFile = process.env.WG_TUN_NAME_FILE;
  if (nameFile !== undefined && nameFile !== "") writeFileSync(nameFile, `${tunnel.name}\n`, { mode: 0o400 });
  log(`Device started, cipher ${tunnel.status().aead}`);
  log(`UAPI listener started on ${control.path}`);
  if (inBackground()) await leaveCaller();
  const end = await Promise.race<End>([
    signal,
    control.removed.then(() => "socket removed"),
    tunnel.failure.then((failure) => {
      if (failure.code !== "interface-deleted") throw failure;
      return "interface deleted";
    }),
  ]);
  log(`Shutting down: ${end}`);
}

/** Local time as wireguard-go writes it: `2026/01/31 12:34:56`. */
function timestamp(): string {
  const now = new Date();
  const date = [now.getFullYear(), now.getMonth() + 1, now.getDate()].map(twoDigits).join("/");
  return `${date} ${[now.getHours(), now.getMinutes(), now.getSeconds()].map(twoDigits).join(":")}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** Resolves on the first signal that asks for an end. A second one is left to its default: an end without cleaning up. */
function signalled(): Promise<"signal"> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve("signal"));
  });
}
