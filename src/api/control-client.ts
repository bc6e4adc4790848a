/**
 * Whoever asks a live tunnel something: which there are, how they are configured and fare, and what only warren's own
 * tunnels answer. The configuration protocol is the same for every userspace WireGuard, so wireguard-go is found as well.
 */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { getSystemErrorMessage } from "node:util";
import { isZero, wipe } from "../base/bytes.ts";
import { VpnError } from "../base/errors.ts";
import { PublicKey } from "../base/keys.ts";
import { native } from "../crypto/native.ts";
import { asText, LineReader, parseKey, parseLine } from "../tunnel/uapi-line.ts";
import { controlFolder, type OwnStatus, socketPath } from "./control-socket.ts";

const usualPatienceMs = 5000;
const suffix = ".sock";

export interface PeerDescription {
  readonly publicKey: string;
  hasPresharedKey: boolean;
  endpoint: string | undefined;
  /** Wall clock, ms since 1970; undefined if there was none. */
  latestHandshakeAt: number | undefined;
  receivedBytes: number;
  sentBytes: number;
  /** 0: none. */
  persistentKeepaliveSeconds: number;
  readonly allowedIps: string[];
}

export interface TunnelDescription {
  readonly name: string;
  /** Undefined where it has no private key. */
  publicKey: string | undefined;
  /** 0 where none was chosen. */
  listenPort: number;
  /** 0: none. */
  mark: number;
  readonly peers: PeerDescription[];
}

export interface CallOptions {
  /** Where sockets lie. */
  readonly folder?: string;
  /** How long the tunnel may keep silent; 5 s unless said. */
  readonly patienceMs?: number;
}

/** The names that have a control socket, sorted; those whose process died among them. */
export function listControlSockets(folder: string = controlFolder): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith(suffix));
    return names.map((name) => name.slice(0, -suffix.length)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw unreachable(folder, error);
  }
}

/** How a tunnel is configured and fares, without its secrets. Throws `not-available` where there is none of this name. */
export async function describeTunnel(name: string, folder: string = controlFolder): Promise<TunnelDescription> {
  const description: TunnelDescription = { name, publicKey: undefined, listenPort: 0, mark: 0, peers: [] };
  const socket = await open(name, folder);
  using lines = new LineReader();
  socket.write("get=1\n\n");
  for await (const bytes of heard(socket, name)) {
    for (const line of lines.read(bytes)) {
      if (line.length === 0) return description;
      note(description, line);
    }
    bytes.fill(0); // the keys were among them
  }
  throw new VpnError("not-available", `${name} hung up in the middle of its answer`);
}

/**
 * The answer to `warren=OPERATION`; undefined where the tunnel knows no such operation, as other programs' tunnels do not.
 * Throws `not-available`, with the tunnel's own words where it has any.
 */
export async function callTunnel(name: string, operation: string, options: CallOptions = {}): Promise<unknown> {
  const { folder = controlFolder, patienceMs } = options;
  const socket = await open(name, folder, patienceMs);
  socket.write(`warren=${operation}\n\n`);
  let text = "";
  for await (const bytes of heard(socket, name)) {
    text += Buffer.from(bytes).toString("utf8");
    if (text.endsWith("\n\n")) break;
  }
  const [, kind, json] = /^(result|error)=(.*)$/m.exec(text) ?? [];
  if (kind === "error") throw new VpnError("not-available", `${name}: ${JSON.parse(json)}`);
  return kind === undefined ? undefined : JSON.parse(json);
}

/** What only warren's own tunnels say; undefined for those of others. */
export async function ownStatusOf(name: string, folder: string = controlFolder): Promise<OwnStatus | undefined> {
  return (await callTunnel(name, "status", { folder })) as OwnStatus | undefined;
}

async function open(name: string, folder: string, patienceMs = usualPatienceMs): Promise<Socket> {
  const path = socketPath(name, folder);
  const socket = connect(path);
  try {
    await once(socket, "connect");
  } catch (error) {
    throw unreachable(path, error);
  }
  return socket.setTimeout(patienceMs, () => socket.destroy(new VpnError("not-available", `${name} does not answer`)));
}

async function* heard(socket: Socket, name: string): AsyncGenerator<Uint8Array, void> {
  try {
    yield* socket;
  } catch (error) {
    throw error instanceof VpnError ? error : unreachable(name, error);
  } finally {
    socket.destroy();
  }
}

function unreachable(path: string, error: unknown): VpnError {
  const { code, errno } = error as NodeJS.ErrnoException;
  const name = path.split("/").at(-1)?.replace(suffix, "");
  const why = errno === undefined ? String(error) : getSystemErrorMessage(errno);
  if (code === "ENOENT") return new VpnError("not-available", `there is no tunnel ${name}`, { cause: error });
  const remedies: Readonly<Record<string, string>> = {
    ECONNREFUSED: `the process behind it died: bring ${name} up again, or remove ${path}`,
    EACCES: "run as root",
  };
  const remedy = remedies[code ?? ""];
  return new VpnError(code === "EACCES" ? "not-permitted" : "not-available", `cannot ask ${path}: ${why}`, {
    ...(remedy === undefined ? {} : { remedy }),
    cause: error,
  });
}

/** Adds what a line says; lines that later versions of the protocol may have are passed over. */
function note(description: TunnelDescription, line: Uint8Array): void {
  const { key, value } = parseLine(line);
  const peer = description.peers.at(-1);
  if (key === "private_key") description.publicKey = publicKeyOf(parseKey(key, value));
  else if (key === "listen_port") description.listenPort = Number(asText(value));
  else if (key === "fwmark") description.mark = Number(asText(value));
  else if (key === "errno") requireSuccess(description.name, asText(value));
  else if (key === "public_key") description.peers.push(newPeer(new PublicKey(parseKey(key, value)).toString()));
  else if (peer !== undefined) noteOfPeer(peer, key, value);
}

function noteOfPeer(peer: PeerDescription, key: string, value: Uint8Array): void {
  switch (key) {
    case "preshared_key": {
      const secret = parseKey(key, value);
      peer.hasPresharedKey = !isZero(secret);
      wipe(secret);
      break;
    }
    case "endpoint":
      peer.endpoint = asText(value);
      break;
    case "last_handshake_time_sec":
      if (Number(asText(value)) > 0) peer.latestHandshakeAt = 1000 * Number(asText(value));
      break;
    case "last_handshake_time_nsec":
      if (peer.latestHandshakeAt !== undefined) peer.latestHandshakeAt += Math.floor(Number(asText(value)) / 1e6);
      break;
    case "rx_bytes":
      peer.receivedBytes = Number(asText(value));
      break;
    case "tx_bytes":
      peer.sentBytes = Number(asText(value));
      break;
    case "persistent_keepalive_interval":
      peer.persistentKeepaliveSeconds = Number(asText(value));
      break;
    case "allowed_ip":
      peer.allowedIps.push(asText(value));
  }
}

function newPeer(publicKey: string): PeerDescription {
  return {
    publicKey,
    hasPresharedKey: false,
    endpoint: undefined,
    latestHandshakeAt: undefined,
    receivedBytes: 0,
    sentBytes: 0,
    persistentKeepaliveSeconds: 0,
    allowedIps: [],
  };
}

function publicKeyOf(secret: Uint8Array): string {
  const key = new PublicKey(native.publicKey(secret)).toString();
  wipe(secret);
  return key;
}

function requireSuccess(name: string, errno: string): void {
  if (errno !== "0") throw new VpnError("not-available", `${name} refused to describe itself (errno ${errno})`);
}
