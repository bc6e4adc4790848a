/**
 * `warren up`: one interface from a wg-quick file, in the foreground, until a signal ends it. Everything it sets up
 * belongs to the interface or to this process and is gone when it ends.
 */
import { fstatSync, openSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { getSystemErrorMessage } from "node:util";
import type { Command } from "commander";
import { VpnError } from "../base/errors.ts";
import type { ConfigFile } from "../tunnel/config-file.ts";
import type { Tunnel, TunnelOptions } from "../tunnel/tunnel.ts";

/** No configuration is near this; a device or a film would otherwise be read to its end. */
const largestFile = 4 * 1024 * 1024;

interface UpOptions {
  readonly foreground?: boolean;
  readonly forward?: boolean;
  readonly json?: boolean;
  readonly name?: string;
}

/** Declares the command; what it needs is loaded when it runs. */
export function upCommand(program: Command): void {
  program
    .command("up")
    .description("bring up a tunnel from a wg-quick file and keep it until Ctrl-C")
    .argument("<file>", "the file, or - for standard input")
    .option("-f, --foreground", "stay in the foreground (the only way there is today)")
    .option("--forward", "forward what peers send, hidden behind this machine's addresses (NAT)")
    .option("--name <interface>", "the interface's name; otherwise the file's without .conf, or wg0, wg1 … for -")
    .option("--json", "one JSON object a line: ready, then stopped")
    .action(up);
}

async function up(file: string, options: UpOptions): Promise<void> {
  if (options.foreground !== true) {
    throw new VpnError("invalid-argument", "warren up does not run in the background yet", {
      remedy: "add --foreground",
    });
  }
  const { parseConfigFile } = await import("../tunnel/config-file.ts");
  const { Tunnel } = await import("../tunnel/tunnel.ts");
  const config = parse(file, parseConfigFile);
  const name = options.name ?? interfaceName(file);
  const signal = signalled(); // from here on: an end asked for while the tunnel comes up is an orderly one, too
  const tunnel = await Tunnel.open(await tunnelOptions(name, config, options.forward === true));
  announce(tunnel, options.json === true);
  const failure = await Promise.race([tunnel.failure, signal]);
  const status = tunnel.status();
  await tunnel.close();
  if (options.json === true) console.log(JSON.stringify({ event: "stopped", ...status }));
  if (failure !== undefined) throw failure;
}

function parse(file: string, parseConfigFile: (text: string) => ConfigFile): ConfigFile {
  const subject = file === "-" ? "standard input" : file;
  const text = read(file, subject);
  try {
    return parseConfigFile(text);
  } catch (error) {
    if (error instanceof VpnError) throw new VpnError(error.code, `${subject}: ${error.message}`, { cause: error });
    throw error;
  }
}

function read(file: string, subject: string): string {
  try {
    const fd = file === "-" ? 0 : openSync(file, "r");
    const { size, mode } = fstatSync(fd);
    if (file !== "-" && (mode & 0o077) !== 0)
      console.error(`warren: warning: ${file} holds keys and others may read it`);
    if (size > largestFile || (mode & 0o170000) === 0o020000) {
      throw new VpnError("invalid-configuration", `${subject} is no configuration file`);
    }
    return readFileSync(fd, "utf8");
  } catch (error) {
    if (error instanceof VpnError) throw error;
    const { errno } = error as NodeJS.ErrnoException;
    const why = errno === undefined ? String(error) : getSystemErrorMessage(errno);
    throw new VpnError("not-available", `cannot read ${subject}: ${why}`, { cause: error });
  }
}

function interfaceName(file: string): string {
  if (file === "-") return "wg%d";
  return basename(file).replace(/\.conf$/, "");
}

async function tunnelOptions(name: string, config: ConfigFile, forward: boolean): Promise<TunnelOptions> {
  const { lookUpEndpoint } = await import("../tunnel/endpoint-lookup.ts");
  const peers = config.peers.map(async ({ endpoint, ...peer }) => ({
    ...peer,
    ...(endpoint === undefined ? {} : { endpoint: await lookUpEndpoint(endpoint) }),
  }));
  const { resolvers, hooks, table, saveConfig, privateKey, mark, mtu, listenPort, addresses } = config.interface;
  const undone = resolvers.length + Object.values(hooks).flat().length > 0 || saveConfig || table.kind === "table";
  if (undone || privateKey === undefined) {
    throw new VpnError("not-available", "DNS, hooks, SaveConfig and tables are read, but not acted upon yet", {
      remedy: "remove these lines",
    });
  }
  const routes = { kind: table.kind === "off" ? "off" : "auto" } as const;
  const everywhere = config.peers.flatMap((peer) => peer.allowedIps).find((allowed) => allowed.prefix === 0);
  if (routes.kind === "auto" && everywhere !== undefined) {
    throw new VpnError("not-available", `routing everything (${everywhere}) into the tunnel is not built yet`, {
      remedy: "name narrower AllowedIPs, or set Table = off and add routes by hand",
    });
  }
  const { hostSetup } = await import("../tunnel/host-setup.ts");
  const found = await Promise.all(peers);
  const setUp = hostSetup({ mtu, addresses, mark, routes, forward, peers: found });
  return { name, privateKey, listenPort, mark, peers: found, setUp };
}

function announce(tunnel: Tunnel, json: boolean): void {
  const { name, port, mtu, aead, offloads } = tunnel.status();
  const readyMs = Math.round(performance.now());
  if (json) {
    console.log(JSON.stringify({ event: "ready", name, port, mtu, aead, offloads, readyMs }));
    return;
  }
  const { tun, udp } = offloads;
  const found = { "TSO over IPv4": tun.tcp4, "TSO over IPv6": tun.tcp6, USO: tun.udp };
  const sockets = { UDP_SEGMENT: udp.segmentation, UDP_GRO: udp.receiveOffload };
  const present = Object.entries({ ...found, ...sockets }).flatMap(([what, is]) => (is ? what : []));
  console.log(`${name} is up on UDP port ${port}, MTU ${mtu} (${readyMs} ms). Ctrl-C ends it.`);
  console.log(`offloads: ${present.join(", ") || "none"}; cipher: ${aead}`);
}

/** Resolves on the first signal that asks for an end. A second one is left to its default: an end without cleaning up. */
function signalled(): Promise<undefined> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const)
      process.once(signal, () => resolve(undefined));
  });
}
