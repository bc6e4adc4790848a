import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, Endpoint } from "../../../src/base/address.ts";
import { PresharedKey, PublicKey } from "../../../src/base/keys.ts";
import { type ChangeableTunnel, changePeers } from "../../../src/tunnel/peer-changes.ts";
import type { PeerState, TunnelPeerOptions } from "../../../src/tunnel/tunnel.ts";

const keys = [1, 2, 3].map((byte) => new PublicKey(new Uint8Array(32).fill(byte)));
const secret = new PresharedKey(new Uint8Array(32).fill(9));
const home = Endpoint.parse("192.0.2.1:1");
const roamed = Endpoint.parse("192.0.2.9:9");

function live(key: PublicKey, allowedIps: string, more: Partial<PeerState> = {}): PeerState {
  return {
    publicKey: key,
    presharedKey: PresharedKey.none,
    endpoint: roamed,
    allowedIps: prefixes(allowedIps),
    persistentKeepaliveSeconds: 0,
    lastHandshakeAt: 1,
    sentBytes: 1,
    receivedBytes: 1,
    ...more,
  };
}

function wanted(key: PublicKey, allowedIps: string, more: Partial<TunnelPeerOptions> = {}): TunnelPeerOptions {
  return { publicKey: key, allowedIps: prefixes(allowedIps), endpoint: home, ...more };
}

function prefixes(text: string): Cidr[] {
  return text === "" ? [] : text.split(" ").map((word) => Cidr.parse(word));
}

/** What is done to a tunnel with these peers, whose endpoint was `home` in the file, each in one line. */
function changes(present: readonly PeerState[], file: readonly TunnelPeerOptions[]): string[] {
  const done: string[] = [];
  const nameOf = (key: PublicKey) => keys.findIndex((other) => other.equals(key));
  const tunnel: ChangeableTunnel = {
    peers: () => present,
    addPeer: ({ publicKey, allowedIps }) => void done.push(`add ${nameOf(publicKey)} ${allowedIps}`),
    removePeer: (key) => done.push(`remove ${nameOf(key)}`) > 0,
    updatePeer: (key, change) => {
      const said = {
        ...change,
        ...(change.presharedKey === undefined ? {} : { presharedKey: change.presharedKey.reveal() }),
      };
      done.push(`change ${nameOf(key)} ${JSON.stringify(said)}`);
    },
  };
  changePeers(tunnel, file, new Map(present.map((peer) => [peer.publicKey.toString(), home])));
  return done;
}

test("a peer that is as the file has it is left alone, wherever it has roamed to", () => {
  assert.deepEqual(changes([live(keys[0], "10.0.0.0/8 fd00::/8")], [wanted(keys[0], "fd00::/8 10.0.0.0/8")]), []);
});

test("who is gone from the file goes, and who is new comes", () => {
  const done = changes(
    [live(keys[0], "10.0.0.0/8"), live(keys[1], "")],
    [wanted(keys[2], "10.0.0.0/8"), wanted(keys[1], "")],
  );
  assert.deepEqual(done, ["remove 0", "add 2 10.0.0.0/8"]);
});

test("each difference is applied alone", () => {
  const change = (before: Partial<PeerState>, after: Partial<TunnelPeerOptions>) =>
    changes([live(keys[0], "10.0.0.0/8", before)], [wanted(keys[0], "10.0.0.0/8", after)]);
  assert.deepEqual(change({}, { presharedKey: secret }), [`change 0 {"presharedKey":"${secret.reveal()}"}`]);
  assert.deepEqual(change({ presharedKey: secret }, {}), ['change 0 {"removePresharedKey":true}']);
  assert.deepEqual(change({}, { persistentKeepaliveSeconds: 25 }), ['change 0 {"persistentKeepaliveSeconds":25}']);
  assert.deepEqual(change({ persistentKeepaliveSeconds: 25 }, {}), ['change 0 {"persistentKeepaliveSeconds":0}']);
  assert.deepEqual(change({}, { endpoint: Endpoint.parse("192.0.2.2:1") }), ['change 0 {"endpoint":"192.0.2.2:1"}']);
  assert.deepEqual(change({}, { endpoint: undefined }), []);
  assert.deepEqual(change({}, { allowedIps: prefixes("10.0.0.0/9") }), [
    'change 0 {"replaceAllowedIps":true,"allowedIps":["10.0.0.0/9"]}',
  ]);
});

test("an allowed IP that the file gives twice ends with the later peer, whichever of them has changed", () => {
  const file = [wanted(keys[0], "10.0.0.0/8 10.1.0.0/16"), wanted(keys[1], "10.0.0.0/8")];
  const settled = [live(keys[0], "10.1.0.0/16"), live(keys[1], "10.0.0.0/8")];
  assert.deepEqual(changes(settled, file), []);
  assert.deepEqual(changes([live(keys[0], "10.0.0.0/8")], file), [
    'change 0 {"replaceAllowedIps":true,"allowedIps":["10.1.0.0/16"]}',
    "add 1 10.0.0.0/8",
  ]);
});
