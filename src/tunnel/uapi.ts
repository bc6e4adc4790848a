/**
 * The cross-platform configuration protocol (https://www.wireguard.com/xplatform/), by which `wg` speaks to a userspace
 * WireGuard: lines of text over a stream, one operation after the other.
 *
 *     get=1                        private_key=…   listen_port=…   public_key=…   …   errno=0
 *     set=1  private_key=…  …      errno=0, or the errno of what was wrong
 *
 * An empty line ends an operation and its reply. Another operation is not answered: the conversation ends, as with
 * wireguard-go. Only a tunnel that offers operations of its own answers `warren=NAME`, with `result=JSON` on one line.
 *
 * What is wrong ends its operation, but not the conversation: what is left of it is skipped. Bytes that have been read
 * are overwritten, since there may be keys among them. Nothing here knows of sockets.
 */
import { VpnError } from "../base/errors.ts";
import { SystemError } from "../os/system-error.ts";
import { type DescribableTunnel, describe } from "./uapi-get.ts";
import { asText, LineReader, Refusal, ReplyErrno } from "./uapi-line.ts";
import { type ConfigurableTunnel, SetOperation } from "./uapi-set.ts";

export interface ConversationOptions {
  readonly tunnel: ConfigurableTunnel & DescribableTunnel;
  /** Resolves when the bytes need no more memory, and there is room for more. Rejects when the client is gone. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** The interface of this name, for scopes of endpoints. */
  readonly indexOf: (interfaceName: string) => number | undefined;
  /** What `warren=NAME` does, by name; the answer as JSON. */
  readonly operations?: Readonly<Record<string, () => unknown>>;
  /** Told in one line what was refused. */
  readonly log?: (line: string) => void;
}

type State =
  /** Between operations. */
  | { readonly kind: "idle" }
  | { readonly kind: "set"; readonly operation: SetOperation }
  /** An operation that takes no lines of its own: `run` once its end is there. */
  | { readonly kind: "request"; readonly run: () => void | Promise<void> }
  /** The rest of an operation that was refused. */
  | { readonly kind: "skipping" };

const idle: State = { kind: "idle" };
const skipping: State = { kind: "skipping" };

/** Serves one client until it has no more to ask. Rejects only as `input` and `write` do. */
export async function converse(input: AsyncIterable<Uint8Array>, options: ConversationOptions): Promise<void> {
  using lines = new LineReader();
  const conversation = new Conversation(options);
  for await (const bytes of input) {
    try {
      for (const line of lines.read(bytes)) {
        const step = conversation.take(line);
        if (step !== undefined) await step;
        if (conversation.isOver) return;
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return await conversation.refuse(error); // a line without end: nobody knows where the next begins
    } finally {
      bytes.fill(0);
    }
  }
  await conversation.end(lines.isWithinLine);
}

class Conversation {
  readonly #options: ConversationOptions;
  #state: State = idle;
  #isOver = false;

  constructor(options: ConversationOptions) {
    this.#options = options;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Takes one line; where it returns a promise, the next waits for it. */
  take(line: Uint8Array): Promise<void> | undefined {
    switch (this.#state.kind) {
      case "idle":
        this.#begin(asText(line));
        return undefined;
      case "set":
        return this.#set(this.#state.operation, line);
      case "request":
        return this.#request(line, this.#state.run);
      case "skipping":
        if (line.length === 0) this.#state = idle;
        return undefined;
    }
  }

  /** The client has sent all. A set needs no empty line then; but half a line might say something else when whole. */
  async end(isWithinLine: boolean): Promise<void> {
    if (this.#state.kind !== "set") return;
    if (isWithinLine) await this.refuse(new Refusal(ReplyErrno.EPROTO, "the last line has no end"));
    else await this.#set(this.#state.operation, new Uint8Array(0));
  }

  /** Replies with an errno; what had been read of a set stays in force. */
  async refuse(error: unknown): Promise<void> {
    const errno = errnoOf(error);
    this.#options.log?.(error instanceof Error ? error.message : String(error));
    if (this.#state.kind === "set") this.#settle(this.#state.operation);
    this.#state = skipping;
    await this.#reply(`errno=-${errno}\n\n`);
  }

  #begin(operation: string): void {
    const { tunnel, indexOf, operations = {} } = this.#options;
    const [, name = ""] = /^warren=([a-z-]+)$/.exec(operation) ?? [];
    if (operation === "set=1") this.#state = { kind: "set", operation: new SetOperation(tunnel, indexOf) };
    else if (operation === "get=1") this.#state = { kind: "request", run: () => this.#get() };
    else if (Object.hasOwn(operations, name)) {
      this.#state = { kind: "request", run: () => this.#run(operations[name]) };
    } else this.#isOver = true;
  }

  #set(operation: SetOperation, line: Uint8Array): Promise<void> | undefined {
    try {
      if (line.length > 0) {
        operation.take(line);
        return undefined;
      }
      operation.finish();
    } catch (error) {
      return this.refuse(error).then(() => {
        if (line.length === 0) this.#state = idle; // its end has been read
      });
    }
    this.#state = idle;
    return this.#reply("errno=0\n\n");
  }

  /** What was read before a wrong line is applied; what is wrong about that, too, has been answered already. */
  #settle(operation: SetOperation): void {
    try {
      operation.finish();
    } catch (error) {
      this.#options.log?.(error instanceof Error ? error.message : String(error));
    }
  }

  async #request(line: Uint8Array, run: () => void | Promise<void>): Promise<void> {
    if (line.length > 0) return await this.refuse(new Refusal(ReplyErrno.EINVAL, "the operation takes no lines"));
    this.#state = idle;
    await run();
  }

  async #get(): Promise<void> {
    for (const lines of describe(this.#options.tunnel)) {
      await this.#options.write(lines);
      lines.fill(0);
    }
    await this.#reply("errno=0\n\n");
  }

  async #run(operation: () => unknown): Promise<void> {
    try {
      await this.#reply(`result=${JSON.stringify((await operation()) ?? null)}\nerrno=0\n\n`);
    } catch (error) {
      this.#options.log?.(error instanceof Error ? error.message : String(error));
      const message = error instanceof VpnError ? error.line : String(error);
      await this.#reply(`error=${JSON.stringify(message)}\nerrno=-${errnoOf(error)}\n\n`);
    }
  }

  #reply(text: string): Promise<void> {
    return this.#options.write(new TextEncoder().encode(text));
  }
}

/** The errno of the reply, as wireguard-go has them where it knows the case. */
function errnoOf(error: unknown): number {
  if (error instanceof Refusal || error instanceof SystemError) return error.errno;
  if (error instanceof VpnError && error.code === "port-taken") return ReplyErrno.EADDRINUSE;
  return error instanceof VpnError ? ReplyErrno.EINVAL : ReplyErrno.EIO;
}
