/**
 * A program for a host: one TCP connection that carries random bytes both ways at once, and a digest of each, so that
 * both ends can be compared.
 *
 *     node transfer.ts serve PORT BYTES           prints "listening", then the digests of its one connection
 *     node transfer.ts connect ADDRESS PORT BYTES
 */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { finished } from "node:stream/promises";

/** SHA-256 in hexadecimal, and how much it was. */
export interface TransferReport {
  readonly sent: string;
  readonly received: string;
  readonly receivedBytes: number;
}

async function exchange(socket: Socket, bytes: number): Promise<TransferReport> {
  const data = randomBytes(bytes);
  const hash = createHash("sha256");
  let receivedBytes = 0;
  socket.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    receivedBytes += chunk.length;
  });
  socket.end(data);
  await finished(socket);
  return { sent: createHash("sha256").update(data).digest("hex"), received: hash.digest("hex"), receivedBytes };
}

async function accepted(port: number): Promise<Socket> {
  const server = createServer({ allowHalfOpen: true }).listen(port, "::");
  await once(server, "listening");
  console.log("listening");
  const [socket] = await once(server, "connection");
  server.close();
  return socket;
}

const [role, ...parameters] = process.argv.slice(2);
const bytes = Number(parameters.pop());
const port = Number(parameters.pop());
const socket = role === "serve" ? await accepted(port) : connect({ port, host: parameters[0], allowHalfOpen: true });
console.log(JSON.stringify(await exchange(socket, bytes)));
