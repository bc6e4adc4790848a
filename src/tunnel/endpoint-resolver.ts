/**
 * From a host's name to its addresses, past the tunnel: the system's resolver may have been sent into a tunnel that is
 * dead, and then knows nothing. So the question goes, marked like the tunnel's own datagrams, to the name servers that
 * were in force before the tunnel came up. Only where there are none, or none answers, the system is asked after all.
 */
import { randomInt } from "node:crypto";
import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { domainToASCII } from "node:url";
import { type Endpoint, IpAddress } from "../base/address.ts";
import { concatBytes } from "../base/bytes.ts";
import { QuerySocket } from "../os/query-socket.ts";
import { SystemError } from "../os/system-error.ts";
import { connectTcp } from "../os/tcp-socket.ts";
import { type AddressQuestion, type AddressReply, decodeReply, encodeQuestion } from "./endpoint-query.ts";

const defaultPatienceMs = 2000;
const rounds = 2;

export interface EndpointResolverOptions {
  /** The name servers, asked in this order, anew for each look-up. */
  readonly resolvers: () => readonly Endpoint[];
  /** Firewall mark of the questions; 0: none. */
  readonly mark: () => number;
  readonly hostsFile?: string;
  /** How long one name server is waited for. */
  readonly patienceMs?: number;
  /** What the system says, asked last. Left out: getaddrinfo(3). */
  readonly system?: (host: string) => Promise<readonly IpAddress[]>;
}

export class EndpointResolver {
  readonly #options: EndpointResolverOptions;

  constructor(options: EndpointResolverOptions) {
    this.#options = options;
  }

  /** The addresses of a host in the order received, IPv4 first; none where nobody knows any. Takes seconds at worst. */
  async lookUp(host: string): Promise<readonly IpAddress[]> {
    const { hostsFile = "/etc/hosts", resolvers, system = askSystem } = this.#options;
    const known = readHosts(readText(hostsFile), host);
    if (known.length > 0) return known;
    const servers = resolvers();
    for (let round = 0; round < rounds; round++) {
      for (const server of servers) {
        const addresses = await this.#ask(server, host);
        if (addresses !== undefined) return addresses;
      }
    }
    return system(host);
  }

  /** Asks one name server for both families; `undefined` where it answers neither. */
  async #ask(server: Endpoint, host: string): Promise<readonly IpAddress[] | undefined> {
    const families = [4, 6] as const;
    const replies = await Promise.all(families.map((family) => this.#exchange(server, host, family)));
    const answered = replies.flatMap((reply) => (reply?.kind === "addresses" ? [reply.addresses] : []));
    return answered.length === 0 ? undefined : answered.flat();
  }

  async #exchange(server: Endpoint, host: string, family: 4 | 6): Promise<AddressReply | undefined> {
    const question = { id: randomInt(0x1_0000), host: domainToASCII(host), family };
    const { mark, patienceMs = defaultPatienceMs } = this.#options;
    try {
      const reply = await askByDatagram(server, question, mark(), patienceMs);
      return reply?.kind === "truncated" ? await askByStream(server, question, mark(), patienceMs) : reply;
    } catch (error) {
      if (error instanceof SystemError) return undefined; // no way there: the next one may be nearer
      throw error;
    }
  }
}

/** The addresses that hosts(5) gives a name. */
export function readHosts(text: string, host: string): IpAddress[] {
  const wanted = host.replace(/\.$/, "").toLowerCase();
  return text.split("\n").flatMap((line) => {
    const [address, ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (!names.some((name) => name.toLowerCase() === wanted)) return [];
    try {
      return IpAddress.parse(address);
    } catch {
      return [];
    }
  });
}

/** `undefined` where no answer came in time. What is no answer to this question is passed over. */
async function askByDatagram(
  server: Endpoint,
  question: AddressQuestion,
  mark: number,
  patienceMs: number,
): Promise<AddressReply | undefined> {
  const bytes = encodeQuestion(question);
  if (bytes === undefined) return undefined;
  using socket = QuerySocket.open(server, mark);
  const { promise, resolve } = Promise.withResolvers<AddressReply | undefined>();
  socket.onAnswer((answer) => {
    if (answer instanceof SystemError) return resolve(undefined);
    const reply = decodeReply(answer, question);
    if (reply !== undefined) resolve(reply);
  });
  const timer = setTimeout(resolve, patienceMs, undefined);
  try {
    socket.send(bytes);
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** Over TCP a message follows its length in two bytes (RFC 7766 §8). */
async function askByStream(
  server: Endpoint,
  question: AddressQuestion,
  mark: number,
  patienceMs: number,
): Promise<AddressReply | undefined> {
  const bytes = encodeQuestion(question);
  if (bytes === undefined) return undefined;
  const { promise, resolve } = Promise.withResolvers<AddressReply | undefined>();
  const socket = new Socket({ fd: connectTcp(server, mark) });
  let received: Uint8Array = new Uint8Array();
  socket.on("data", (data: Buffer) => {
    received = concatBytes(received, data);
    const length = received.length < 2 ? Number.POSITIVE_INFINITY : (received[0] << 8) | received[1];
    if (received.length >= 2 + length) resolve(decodeReply(received.subarray(2, 2 + length), question));
  });
  socket.on("error", () => resolve(undefined)).on("close", () => resolve(undefined));
  const timer = setTimeout(resolve, patienceMs, undefined);
  try {
    socket.write(concatBytes(Uint8Array.of(bytes.length >> 8, bytes.length & 255), bytes));
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

async function askSystem(host: string): Promise<readonly IpAddress[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => IpAddress.parse(address));
  } catch {
    return [];
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
