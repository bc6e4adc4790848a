/**
 * `warren up`: one interface from a wg-quick file, until a signal or `warren down` ends it. SIGHUP and `warren reload`
 * have it read its file again.
 */
import { existsSync } from "node:fs";
import { isatty } from "node:tty";
import type { Command } from "commander";
import { VpnError } from "../base/errors.ts";
import type { ReloadOutcome } from "../tunnel/journal-content.ts";
import type { ManagedTunnel } from "../tunnel/managed-tunnel.ts";
import type { Tunnel } from "../tunnel/tunnel.ts";
import { ReloadSignal } from "./reload-signal.ts";
import type { ServiceManager } from "./service-manager.ts";
import { notFromFile, TunnelControl } from "./tunnel-control.ts";

const standardInput = 0;
const standardError = 2;

interface UpOptions {
  readonly foreground?: boolean;
  readonly forward?: boolean;
  readonly json?: boolean;
  readonly name?: string;
  readonly killSwitch?: boolean;
  readonly killSwitchLan?: boolean;
}

/** Declares the command; what it needs is loaded when it runs. */
export function upCommand(program: Command): void {
  program
    .command("up")
    .description("bring up a tunnel from a wg-quick file, and leave it to run")
    .argument("<config>", "NAME for /etc/wireguard/NAME.conf or /etc/warren/NAME.conf, a file, or - for input")
    .option("-f, --foreground", "stay in the foreground until Ctrl-C")
    .option("--forward", "forward what peers send, hidden behind this machine's addresses (NAT)")
    .option("--kill-switch", "let nothing leave but through the tunnel, also after a crash, until `warren down`")
    .option("--kill-switch-lan", "the same, but for the local network: private and link-local addresses")
    .option("--name <interface>", "the interface's name; otherwise the file's without .conf, or wg0, wg1 … for -")
    .option("--json", "one JSON object a line: ready, then, in the foreground, stopped")
    .action(up);
}

async function up(where: string, options: UpOptions): Promise<void> {
  const { inBackground, runInBackground } = await import("./background.ts");
  const { descriptorIn, readConfig } = await import("./config-source.ts");
  if (options.foreground !== true && !inBackground()) {
    const from = where === "-" ? standardInput : descriptorIn(where);
    const descriptors = from !== undefined && from > standardError && existsSync(where) ? [from] : [];
    process.exitCode = await runInBackground({ readsInput: from === standardInput, keepsLog: true, descriptors });
    return;
  }
  const { chosenAead } = await import("./chosen-aead.ts");
  const { serveControl } = await import("../api/control-socket.ts");
  const { ManagedTunnel } = await import("../tunnel/managed-tunnel.ts");
  const { chooseTunnelName } = await import("../tunnel/tunnel-name.ts");
  const { name, path, config, remarks } = await readConfig(where);
  for (const remark of remarks) log(remark);
  const lan = options.killSwitchLan === true;
  const hangsUp = path === undefined || isatty(standardInput);
  using reloading = hangsUp ? undefined : new ReloadSignal();
  const end = signalled(hangsUp); // from here on: an end asked for while the tunnel comes up is an orderly one, too
  const control = new TunnelControl(end.ask);
  try {
    const managed = await ManagedTunnel.open({
      name: chooseTunnelName(options.name ?? name),
      config,
      file: path,
      endsOnHangUp: hangsUp,
      forward: options.forward === true,
      aead: chosenAead(),
      killSwitch: lan || options.killSwitch === true ? { lan } : undefined,
      serve: (tunnel) => serveControl(tunnel, { operations: control.operations, log }),
      log,
      signal: end.abort,
    });
    const failure = await stayUp(managed, path, options, { end: end.signal, reloading, control });
    await close(managed, failure, { control, json: options.json === true });
  } finally {
    control.end();
  }
}

/** Throws what the tunnel failed of, or else what could not be undone. */
async function close(
  managed: ManagedTunnel,
  failure: unknown,
  { control, json }: { readonly control: TunnelControl; readonly json: boolean },
): Promise<void> {
  const status = managed.tunnel.status();
  try {
    await managed.close({ isWanted: failure === undefined });
  } catch (error) {
    control.end(error);
    if (failure === undefined) throw error;
    log(error instanceof VpnError ? error.line : String(error));
  } finally {
    if (json) console.log(JSON.stringify({ event: "stopped", ...status }));
  }
  if (failure !== undefined) throw failure;
}

interface Wishes {
  readonly end: Promise<undefined>;
  readonly reloading: ReloadSignal | undefined;
  readonly control: TunnelControl;
}

/** Resolves when the tunnel is to end: with what it failed of, or with nothing where somebody wished so. */
async function stayUp(
  managed: ManagedTunnel,
  path: string | undefined,
  options: UpOptions,
  { end, reloading, control }: Wishes,
): Promise<unknown> {
  const { inBackground, leaveCaller } = await import("./background.ts");
  const { ServiceManager } = await import("./service-manager.ts");
  const manager = new ServiceManager();
  try {
    announce(managed.tunnel, options);
    manager.ready();
    control.begin(() => reload(managed, path, manager));
    reloading?.begin(async () => managed.noteReload(await reload(managed, path, manager)));
    if (inBackground()) await leaveCaller();
    return await Promise.race([managed.tunnel.failure, end]);
  } catch (error) {
    return error;
  } finally {
    manager.stopping();
  }
}

/** Throws where there is no file to read. */
async function reload(
  managed: ManagedTunnel,
  path: string | undefined,
  manager: ServiceManager,
): Promise<ReloadOutcome> {
  if (path === undefined) throw new VpnError("not-available", notFromFile);
  manager.reloading();
  const failure = await tryReload(managed, path);
  if (failure !== undefined) log(`not reloaded: ${failure}`);
  manager.ready();
  return failure === undefined ? { ok: true } : { ok: false, failure };
}

/** Why not, in the operator's words; `undefined` where all is well. */
async function tryReload(managed: ManagedTunnel, path: string): Promise<string | undefined> {
  const { readConfig } = await import("./config-source.ts");
  try {
    const { config, remarks } = await readConfig(path);
    for (const remark of remarks) log(remark);
    await managed.reload(config);
    return undefined;
  } catch (error) {
    return error instanceof VpnError ? error.line : String(error);
  }
}

function log(line: string): void {
  console.error(`warren: ${line}`);
}

function announce(tunnel: Tunnel, { json, foreground }: UpOptions): void {
  const { name, port, mtu, aead, offloads } = tunnel.status();
  const readyMs = Math.round(performance.now());
  if (json === true) {
    console.log(JSON.stringify({ event: "ready", name, port, mtu, aead, offloads, readyMs }));
    return;
  }
  const { tun, udp } = offloads;
  const found = { "TSO over IPv4": tun.tcp4, "TSO over IPv6": tun.tcp6, USO: tun.udp };
  const sockets = { UDP_SEGMENT: udp.segmentation, UDP_GRO: udp.receiveOffload };
  const present = Object.entries({ ...found, ...sockets }).flatMap(([what, is]) => (is ? what : []));
  const ending = foreground === true ? "Ctrl-C" : `\`warren down ${name}\``;
  console.log(`${name} is up on UDP port ${port}, MTU ${mtu} (${readyMs} ms). ${ending} ends it.`);
  console.log(`offloads: ${present.join(", ") || "none"}; cipher: ${aead}`);
  for (const { offload, why } of offloads.off) console.log(`without ${offload}: ${why}`);
}

/**
 * Resolves, and aborts what is under way, on the first signal that asks for an end. A second one is left to its default:
 * an end without cleaning up. `hangsUp` says that SIGHUP asks for an end, too: that of the terminal.
 */
function signalled(hangsUp: boolean): {
  readonly signal: Promise<undefined>;
  readonly abort: AbortSignal;
  /** Asks for an end as a signal does. */
  readonly ask: () => void;
} {
  const controller = new AbortController();
  const names = ["SIGINT", "SIGTERM", "SIGQUIT", ...(hangsUp ? (["SIGHUP"] as const) : [])] as const;
  const { promise: signal, resolve } = Promise.withResolvers<undefined>();
  const ask = () => {
    controller.abort();
    resolve(undefined);
  };
  for (const name of names) process.once(name, ask);
  return { signal, abort: controller.signal, ask };
}
