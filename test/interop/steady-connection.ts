/**
 * A program for a host: one TCP connection on which something is said and answered every 20 ms, for as long as it lasts.
 *
 *     node steady-connection.ts serve PORT              prints "listening", and answers its one connection
 *     node steady-connection.ts connect ADDRESS PORT    prints when an answer came, in ms since 1970, and since the last
 */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

const intervalMs = 20;
const recordBytes = 200;

async function serve(port: number): Promise<void> {
  const server = createServer().listen(port, "::");
  await once(server, "listening");
  console.log("listening");
  const [socket]: Socket[] = await once(server, "connection");
  server.close();
  socket.pipe(socket);
  await once(socket, "close");
}

async function talk(host: string, port: number): Promise<void> {
  const socket = connect({ port, host, noDelay: true });
  await once(socket, "connect");
  let last = Date.now();
  socket.on("data", () => {
    const now = Date.now();
    console.log(`answer at ${now} after ${now - last}`);
    last = now;
  });
  const timer = setInterval(() => socket.write(Buffer.alloc(recordBytes)), intervalMs);
  await once(socket, "close");
  clearInterval(timer);
}

const [role, ...parameters] = process.argv.slice(2);
if (role === "serve") await serve(Number(parameters[0]));
else await talk(parameters[0], Number(parameters[1]));
