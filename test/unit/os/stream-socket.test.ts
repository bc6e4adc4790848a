import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../../src/base/address.ts";
import { openDatagramSocket } from "../../../src/os/datagram-socket.ts";
import { libc } from "../../../src/os/libc.ts";
import { decodeSockaddr, sockaddrOf, sockaddrSize } from "../../../src/os/sockaddr.ts";
import { createStreamSocket, openTcpListener } from "../../../src/os/tcp-socket.ts";
import { requireNamespaces } from "../../requirements.ts";

/** Level, option and what it should be (linux/tcp.h, asm-generic/socket.h). */
const expected = {
  SO_KEEPALIVE: [1, 9, 1],
  SO_MARK: [1, 36, 77],
  TCP_NODELAY: [6, 1, 1],
  TCP_KEEPIDLE: [6, 4, 10],
  TCP_KEEPINTVL: [6, 5, 5],
  TCP_KEEPCNT: [6, 6, 3],
  TCP_USER_TIMEOUT: [6, 18, 25_000],
  TCP_NOTSENT_LOWAT: [6, 25, 131_072],
} as const;

const int = (value: number) => new Uint8Array(new Int32Array([value]).buffer);

function option(fd: number, level: number, name: number): number {
  const value = int(0);
  assert.equal(libc.getsockopt(fd, level, name, value, int(4)), 0);
  return new DataView(value.buffer).getInt32(0, true);
}

function localOf(fd: number): Endpoint {
  const name = new Uint8Array(sockaddrSize);
  assert.equal(libc.getsockname(fd, name, int(name.length)), 0);
  const local = decodeSockaddr(name);
  assert.ok(local !== undefined);
  return local;
}

test("what a stream needs is set before it connects, and an accepted one has it from its listener", (t) => {
  if (!requireNamespaces(t)) return; // a mark takes CAP_NET_ADMIN
  const listener = openTcpListener(Endpoint.parse("127.0.0.1:0"), 77);
  const dialled = createStreamSocket(4, 77);
  const name = sockaddrOf(localOf(listener));
  libc.connect(dialled, name, name.length); // on loopback it is through at once, whatever it returns
  const accepted = libc.accept4(listener, null, null, 0);
  assert.ok(accepted >= 0);
  for (const fd of [dialled, accepted]) {
    const found = Object.entries(expected).map(([what, [level, name]]) => [what, option(fd, level, name)]);
    assert.deepEqual(
      found,
      Object.entries(expected).map(([what, [, , value]]) => [what, value]),
    );
  }
  for (const fd of [listener, dialled, accepted]) libc.close(fd);
});

test("a UDP socket of the relay has its mark, its room and its address", (t) => {
  if (!requireNamespaces(t)) return;
  const fd = openDatagramSocket(Endpoint.parse("127.0.0.1:0"), { mark: 77 });
  assert.equal(option(fd, 1, 36), 77);
  assert.ok(option(fd, 1, 8) >= 2_000_000, `SO_RCVBUF ${option(fd, 1, 8)}`);
  assert.ok(option(fd, 1, 7) >= 2_000_000, `SO_SNDBUF ${option(fd, 1, 7)}`);
  const local = localOf(fd);
  assert.equal(String(local.address), "127.0.0.1");
  assert.throws(() => openDatagramSocket(local), { code: "port-taken" });
  libc.close(fd);
});
