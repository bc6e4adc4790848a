/**
 * A web server without TLS, as they all once were: `web-server ADDRESS PORT`. It shows a diary to whoever has the
 * password, and gives them a cookie.
 */
import { createServer } from "node:http";

const [address, port] = process.argv.slice(2);
const pages: Readonly<Record<string, string>> = {
  "/diary": "Monday: dug eastwards. The clover by the old oak is ripe; do not tell the badgers.\n",
};

const server = createServer((request, response) => {
  const page = pages[request.url ?? ""];
  const isKnown = request.headers.authorization !== undefined && page !== undefined;
  response.writeHead(isKnown ? 200 : 404, {
    "content-type": "text/plain",
    "set-cookie": "session=8f3a1c77b2e94d06",
    connection: "close",
  });
  response.end(isKnown ? page : "nothing here\n");
});
server.listen(Number(port), address, () => console.log(JSON.stringify({ event: "listening" })));
