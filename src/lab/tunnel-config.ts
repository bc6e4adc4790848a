/** The two ends of the lab's tunnel as wg-quick files, with fresh keys every time. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { toBase64 } from "../base/bytes.ts";
import { address, tunnelPort } from "./topology.ts";

export interface TunnelConfigs {
  readonly server: string;
  readonly client: string;
}

/** `wrongKey` gives the client somebody else's public key for the server's. */
export function makeTunnelConfigs(wrongKey: boolean): TunnelConfigs {
  const server = makeKeys();
  const client = makeKeys();
  const preshared = toBase64(randomBytes(32));
  const [server4, server6] = address.tunnelServer;
  const [client4, client6] = address.tunnelClient;
  return {
    server: file([
      "[Interface]",
      `PrivateKey = ${server.secret}`,
      `Address = ${server4}/24, ${server6}/64`,
      `ListenPort = ${tunnelPort}`,
      "[Peer]",
      `PublicKey = ${client.point}`,
      `PresharedKey = ${preshared}`,
      `AllowedIPs = ${client4}/32, ${client6}/128`,
    ]),
    client: file([
      "[Interface]",
      `PrivateKey = ${client.secret}`,
      `Address = ${client4}/24, ${client6}/64`,
      "[Peer]",
      `PublicKey = ${wrongKey ? makeKeys().point : server.point}`,
      `PresharedKey = ${preshared}`,
      `AllowedIPs = ${address.dns[0]}/32, ${address.dns[1]}/128, 10.8.0.0/24, fd10:8::/64`,
      `Endpoint = ${address.server[0]}:${tunnelPort}`,
      "PersistentKeepalive = 25",
    ]),
  };
}

function makeKeys(): { secret: string; point: string } {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  // RFC 8410: in both encodings the key is what the last 32 bytes hold.
  return {
    secret: toBase64(privateKey.export({ format: "der", type: "pkcs8" }).subarray(-32)),
    point: toBase64(publicKey.export({ format: "der", type: "spki" }).subarray(-32)),
  };
}

function file(lines: readonly string[]): string {
  return `${lines.join("\n")}\n`;
}
