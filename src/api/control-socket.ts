/**
 * The control socket of a live tunnel: /var/run/wireguard/NAME.sock, where `wg`, `wg-quick` and `warren show` look for
 * it. It speaks the configuration protocol of `tunnel/uapi.ts` to whoever may open it, which is its owner alone: the
 * socket has mode 0600 from its first moment, and it lies in a folder of mode 0700 if we had to make that.
 *
 * Clients that are slow cost one connection each, of which there are so many; the one that has been silent longest makes
 * room for the next. Each is read no faster than what it asked for can be done, and written to no faster than it reads.
 */
import { once } from "node:events";
import { type FSWatcher, lstatSync, mkdirSync, rmSync, watch } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { getSystemErrorMessage } from "node:util";
import { VpnError } from "../base/errors.ts";
import { InterfaceConfig } from "../os/interface-config.ts";
import { Errno, SystemError } from "../os/system-error.ts";
import { listenUnix } from "../os/unix-socket.ts";
import type { Tunnel } from "../tunnel/tunnel.ts";
import type { TunnelStatus } from "../tunnel/tunnel-status.ts";
import { type ConversationOptions, converse } from "../tunnel/uapi.ts";

export const controlFolder = "/var/run/wireguard";
const maximumClients = 64;

/** The answer to `warren=status`. */
export type OwnStatus = Omit<TunnelStatus, "peers"> & {
  readonly pid: number;
  /** Initiations since the last handshake, by the public key of those peers that have answered none. */
  readonly unanswered: Readonly<Record<string, number>>;
  /** What carries the datagrams of those peers that are reached by a stream, such as `tls://192.0.2.1:443`, by public key. */
  readonly carried: Readonly<Record<string, string>>;
};

export type Operations = NonNullable<ConversationOptions["operations"]>;

export interface ControlSocketOptions {
  readonly tunnel: ConversationOptions["tunnel"] & Pick<Tunnel, "status">;
  /** What `warren=NAME` does, by name, beside `warren=status`; the answer as JSON. */
  readonly operations?: Operations;
  /** A listening socket made by somebody else, in place of our own (WG_UAPI_FD). */
  readonly descriptor?: number;
  /** Told in one line what a client was refused. */
  readonly log?: (line: string) => void;
  /** Where sockets lie; `controlFolder` unless a test says otherwise. */
  readonly folder?: string;
}

export class ControlSocket implements AsyncDisposable {
  readonly path: string;
  readonly #options: ControlSocketOptions;
  readonly #server: Server;
  readonly #removed = Promise.withResolvers<void>();
  /** In the order in which they were last heard of. */
  readonly #clients = new Set<Socket>();
  /** Those whose operation runs, and which are answered even after the end. */
  readonly #asking = new Set<Socket>();
  #isOver = false;
  #watcher: FSWatcher | undefined;
  #inode = 0;

  /**
   * Makes the socket, in the place of one that nobody listens on any more. Throws `name-taken` where somebody does, and
   * what the system refuses.
   */
  static async open(name: string, options: ControlSocketOptions): Promise<ControlSocket> {
    const socket = new ControlSocket(socketPath(name, options.folder), options);
    if (options.descriptor === undefined) await socket.#listen();
    else await socket.#adopt(options.descriptor);
    return socket;
  }

  private constructor(path: string, options: ControlSocketOptions) {
    this.path = path;
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#serve(client));
  }

  /** Resolves when somebody has removed the socket, by which wireguard-go can be told to end. */
  get removed(): Promise<void> {
    return this.#removed.promise;
  }

  /**
   * Removes the socket, unless somebody else has put theirs there, and ends all conversations but those in which one of
   * `operations` runs: they end with its answer, which may be that of the end itself.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#watcher?.close();
    for (const client of this.#clients) if (!this.#asking.has(client)) client.destroy();
    if (inodeOf(this.path) === this.#inode) rmSync(this.path, { force: true });
    const closed = once(this.#server, "close");
    this.#server.close();
    if (this.#asking.size === 0) await closed;
  }

  async #listen(): Promise<void> {
    makeFolder(this.#options.folder ?? controlFolder);
    let descriptor: number;
    try {
      descriptor = listenUnix(this.path);
    } catch (error) {
      if (!(error instanceof SystemError && error.errno === Errno.EADDRINUSE)) throw error;
      await this.#makeRoom();
      descriptor = listenUnix(this.path);
    }
    await this.#adopt(descriptor);
  }

  /** Removes a socket that nobody listens on any more. */
  async #makeRoom(): Promise<void> {
    if (lstatSync(this.path, { throwIfNoEntry: false })?.isSocket() === false) {
      throw new VpnError("name-taken", `${this.path} is no socket`, { remedy: "remove it" });
    }
    if (await answers(this.path)) {
      throw new VpnError("name-taken", `another process listens on ${this.path}`, {
        remedy: "end it, or choose another interface name",
      });
    }
    rmSync(this.path, { force: true });
  }

  async #adopt(descriptor: number): Promise<void> {
    try {
      this.#server.listen({ fd: descriptor });
      await once(this.#server, "listening");
    } catch (error) {
      throw new VpnError("invalid-argument", `descriptor ${descriptor} is no socket to listen on`, { cause: error });
    }
    if (inodeOf(this.path) !== undefined) this.#watch();
  }

  #watch(): void {
    this.#inode = inodeOf(this.path) ?? 0;
    this.#watcher = watch(this.path, () => {
      if (inodeOf(this.path) !== this.#inode) this.#removed.resolve();
    });
    this.#watcher.unref();
  }

  #serve(client: Socket): void {
    const [longestSilent] = this.#clients;
    if (this.#clients.size >= maximumClients) {
      longestSilent.destroy();
      this.#clients.delete(longestSilent); // at once: many may come in one turn
    }
    const note = () => {
      if (this.#clients.delete(client)) this.#clients.add(client);
    };
    this.#clients.add(client);
    client.on("drain", note);
    client.on("close", () => this.#clients.delete(client));
    client.on("error", () => client.destroy()); // it went away
    const { tunnel, operations = {}, log } = this.#options;
    const conversation = converse(heard(client, note), {
      tunnel,
      indexOf,
      write: async (bytes) => {
        await write(client, bytes);
        if (this.#isOver) client.destroy();
      },
      operations: { status: () => ownStatus(tunnel), ...this.#answered(operations, client) },
      ...(log === undefined ? {} : { log }),
    });
    conversation.then(
      () => client.end(() => client.destroy()),
      () => client.destroy(),
    );
  }

  /** The operations as this client runs them: noted for as long as they take. */
  #answered(operations: Operations, client: Socket): Operations {
    const noted = Object.entries(operations).map(([name, run]) => {
      const operation = async () => {
        this.#asking.add(client);
        try {
          return await run();
        } finally {
          this.#asking.delete(client);
        }
      };
      return [name, operation] as const;
    });
    return Object.fromEntries(noted);
  }
}

/**
 * Serves a tunnel that can do without: where there can be no socket, `log` is told why and the tunnel goes unseen. So it
 * is where a tunnel in another network namespace has the same name, since all share one file system.
 */
export async function serveControl(
  tunnel: Tunnel,
  { operations, log }: { readonly operations: Operations; readonly log: (line: string) => void },
): Promise<AsyncDisposable> {
  try {
    return await ControlSocket.open(tunnel.name, { tunnel, operations, log });
  } catch (error) {
    const why = error instanceof VpnError ? error.line : String(error);
    log(`${tunnel.name} will not be shown by wg and warren show: ${why}`);
    return new AsyncDisposableStack();
  }
}

/** Removes what a tunnel that was killed has left; a socket on which somebody answers is another's, and stays. */
export async function removeDeadSocket(name: string, folder: string = controlFolder): Promise<void> {
  const path = socketPath(name, folder);
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true || (await answers(path))) return;
  rmSync(path, { force: true });
}

/** Where a tunnel's socket lies. Throws `invalid-argument` for a name that leads elsewhere. */
export function socketPath(name: string, folder: string = controlFolder): string {
  if (!/^[^/\0]{1,15}$/.test(name) || name === "." || name === "..") {
    throw new VpnError("invalid-argument", `${JSON.stringify(name)} is not an interface name`);
  }
  return `${folder}/${name}.sock`;
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    const why = errno === undefined ? String(error) : getSystemErrorMessage(errno);
    throw new VpnError("not-permitted", `cannot make ${path}: ${why}`, { remedy: "run as root", cause: error });
  }
}

/** What the protocol has no words for. */
function ownStatus(tunnel: Pick<Tunnel, "status">): OwnStatus {
  const { peers, ...status } = tunnel.status();
  const waiting = peers.filter(({ unansweredInitiations }) => unansweredInitiations > 0);
  const unanswered = waiting.map(({ publicKey, unansweredInitiations }) => [publicKey, unansweredInitiations] as const);
  const streams = peers.flatMap(({ publicKey, endpoint }) =>
    endpoint?.includes("://") === true ? [[publicKey, endpoint] as const] : [],
  );
  const byKey = { unanswered: Object.fromEntries(unanswered), carried: Object.fromEntries(streams) };
  return { pid: process.pid, ...byKey, ...status };
}

/** Whether somebody listens there. */
async function answers(path: string): Promise<boolean> {
  const client = connect(path);
  try {
    await once(client, "connect");
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ECONNREFUSED") return false;
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  } finally {
    client.destroy();
  }
}

async function* heard(client: Socket, note: () => void): AsyncGenerator<Uint8Array, void> {
  for await (const bytes of client.iterator({ destroyOnReturn: false })) {
    note();
    yield bytes;
  }
}

function write(client: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    client.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino;
}

/** In the namespace of this thread, which is the one that the tunnel's datagrams leave from. */
function indexOf(interfaceName: string): number | undefined {
  using config = InterfaceConfig.open();
  return config.links.find(interfaceName)?.index;
}
