import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Endpoint, IpAddress } from "../../../src/base/address.ts";
import { concatBytes } from "../../../src/base/bytes.ts";
import { decodeQuery, encodeAnswer, type Zone } from "../../../src/lab/dns-message.ts";
import { EndpointResolver, type EndpointResolverOptions, readHosts } from "../../../src/tunnel/endpoint-resolver.ts";

const host = "vpn.example.org";
const zone: Zone = { [host]: ["192.0.2.7", "2001:db8::7"] };
const missing = join(tmpdir(), "no such file");

/** A name server on loopback: hands over each query, and what to answer it with. */
class NameServer implements AsyncDisposable {
  readonly socket: Socket = createSocket("udp4");
  queries = 0;

  static async start(answer: (query: Uint8Array, send: (message: Uint8Array) => void) => void): Promise<NameServer> {
    const server = new NameServer();
    server.socket.on("message", (query, from) => {
      server.queries++;
      answer(query, (message) => server.socket.send(message, from.port, from.address));
    });
    server.socket.bind(0, "127.0.0.1");
    await once(server.socket, "listening");
    return server;
  }

  get endpoint(): Endpoint {
    return new Endpoint(IpAddress.parse("127.0.0.1"), this.socket.address().port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.close();
    await once(this.socket, "close");
  }
}

function answerTo(query: Uint8Array, from: Zone = zone): Uint8Array {
  return encodeAnswer(decodeQuery(query) ?? assert.fail("not a query"), from);
}

function resolver(servers: readonly Endpoint[], options: Partial<EndpointResolverOptions> = {}): EndpointResolver {
  return new EndpointResolver({
    resolvers: () => servers,
    mark: () => 0,
    hostsFile: missing,
    system: () => Promise.resolve([]),
    ...options,
  });
}

const texts = (addresses: readonly IpAddress[]) => addresses.map(String);

test("both families are asked for, and IPv4 comes first", async () => {
  await using server = await NameServer.start((query, send) => send(answerTo(query)));
  assert.deepEqual(texts(await resolver([server.endpoint]).lookUp(host)), ["192.0.2.7", "2001:db8::7"]);
  assert.equal(server.queries, 2);
});

test("a name in another script is asked for as DNS has it", async () => {
  const ascii = "xn--kse-qla.example";
  await using server = await NameServer.start((query, send) => send(answerTo(query, { [ascii]: ["192.0.2.8"] })));
  assert.deepEqual(texts(await resolver([server.endpoint]).lookUp("käse.example")), ["192.0.2.8"]);
});

test("answers to something else are passed over, however many, and the true one counts", async () => {
  await using server = await NameServer.start((query, send) => {
    const lie = answerTo(query, { [host]: ["203.0.113.66", "2001:db8::66"] });
    lie[0] ^= 1;
    send(lie);
    send(new Uint8Array(0));
    send(query);
    send(answerTo(query));
  });
  assert.deepEqual(texts(await resolver([server.endpoint]).lookUp(host)), ["192.0.2.7", "2001:db8::7"]);
});

test("an answer from another address or port than was asked is not heard", async () => {
  await using stranger = await NameServer.start(() => undefined);
  await using server = await NameServer.start(() => undefined);
  server.socket.on("message", (query, from) => {
    const lie = answerTo(query, { [host]: ["203.0.113.66", "2001:db8::66"] });
    stranger.socket.send(lie, from.port, from.address, () => server.socket.send(answerTo(query), from.port));
  });
  assert.deepEqual(texts(await resolver([server.endpoint]).lookUp(host)), ["192.0.2.7", "2001:db8::7"]);
});

test("a truncated answer is asked for again over TCP", async () => {
  await using server = await NameServer.start((query, send) => {
    const truncated = answerTo(query, { [host]: [] });
    truncated[2] |= 0x02;
    send(truncated);
  });
  const stream = createServer((socket) => {
    socket.on("data", (data: Buffer) => {
      const answer = answerTo(data.subarray(2));
      const framed = concatBytes(Uint8Array.of(0, answer.length), answer);
      socket.write(framed.subarray(0, 1)); // in pieces
      socket.write(framed.subarray(1));
    });
  });
  stream.listen(server.endpoint.port, "127.0.0.1");
  await once(stream, "listening");
  assert.deepEqual(texts(await resolver([server.endpoint]).lookUp(host)), ["192.0.2.7", "2001:db8::7"]);
  stream.close();
});

test("one that is silent, refuses or is not there gives way to the next", async () => {
  await using silent = await NameServer.start(() => undefined);
  await using refusing = await NameServer.start((query, send) => {
    const refusal = answerTo(query, {});
    refusal[3] = 5;
    send(refusal);
  });
  await using server = await NameServer.start((query, send) => send(answerTo(query)));
  const nobody = new Endpoint(IpAddress.parse("127.0.0.1"), 1);
  const nowhere = Endpoint.parse("[2001:db8::1]:53");
  const servers = [silent, refusing].map(({ endpoint }) => endpoint);
  const addresses = await resolver([nobody, nowhere, ...servers, server.endpoint], { patienceMs: 100 }).lookUp(host);
  assert.deepEqual(texts(addresses), ["192.0.2.7", "2001:db8::7"]);
  assert.equal(silent.queries, 2);
});

test("that there is no such name is an answer, which nobody else is asked about", async () => {
  await using server = await NameServer.start((query, send) => send(answerTo(query, {})));
  await using other = await NameServer.start((query, send) => send(answerTo(query)));
  const system = () => assert.fail("the system was asked");
  assert.deepEqual(await resolver([server.endpoint, other.endpoint], { system }).lookUp(host), []);
  assert.equal(other.queries, 0);
});

test("where nobody answers twice, the system is asked", async () => {
  await using silent = await NameServer.start(() => undefined);
  const system = () => Promise.resolve([IpAddress.parse("192.0.2.99")]);
  assert.deepEqual(texts(await resolver([silent.endpoint], { patienceMs: 50, system }).lookUp(host)), ["192.0.2.99"]);
  assert.equal(silent.queries, 4);
});

test("what the hosts file knows is not asked for", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "warren-hosts-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const hostsFile = join(folder, "hosts");
  writeFileSync(hostsFile, `192.0.2.5 ${host}\n`);
  await using server = await NameServer.start((query, send) => send(answerTo(query)));
  assert.deepEqual(texts(await resolver([server.endpoint], { hostsFile }).lookUp(host)), ["192.0.2.5"]);
  assert.equal(server.queries, 0);
});

test("hosts(5) names addresses, several names to a line, with comments and in any case", () => {
  const text = [
    "127.0.0.1 localhost",
    "192.0.2.7\tVPN.example.org vpn # ours",
    "2001:db8::7 vpn.example.org",
    "# 192.0.2.8 vpn",
    "nonsense vpn",
  ].join("\n");
  assert.deepEqual(texts(readHosts(text, "vpn.example.org.")), ["192.0.2.7", "2001:db8::7"]);
  assert.deepEqual(texts(readHosts(text, "vpn")), ["192.0.2.7"]);
  assert.deepEqual(readHosts(text, "ours"), []);
  assert.deepEqual(readHosts(text, "192.0.2.7"), []);
});
