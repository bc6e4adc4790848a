/**
 * `warren relay`: WireGuard through streams, where UDP does not get through. On the client's machine it is a local UDP
 * port that a stock app takes for its peer; on the server's, a port for TCP, TLS and WebSocket in front of WireGuard.
 */
import type { Command } from "commander";
import type { RelayOptions } from "./relay-run.ts";

/** Declares the command; what it needs is loaded when it runs. */
export function relayCommand(program: Command): void {
  program
    .command("relay")
    .description("carry WireGuard over TCP, TLS or WebSocket until Ctrl-C, for networks that block UDP")
    .argument("<listen>", "where to listen: udp://127.0.0.1:51820, or tcp, tls, ws, wss, any://*:443/path (repeatable)")
    .argument("<endpoint...>", "last of all, where it goes: tcp, tls, ws, wss://host/path, or udp://127.0.0.1:51820")
    .option("--cert <file>", "server: the certificate with its chain, PEM; SIGHUP reads it again")
    .option("--key <file>", "server: the certificate's key, PEM")
    .option("--web-page <file>", "server: a file or folder to show to whoever comes with a browser")
    .option("--ca <file>", "client: trust these certificates, PEM, instead of the machine's own authorities")
    .option("--server-name <name>", "client: the name to ask for and to check, instead of the endpoint's host")
    .option("--insecure-accept-any-certificate", "client: do not check whose the server's certificate is")
    .option("--path-file <file>", "read the WebSocket's path from a file, so that no list of processes shows it")
    .option("--mark <number>", "firewall mark of the relay's own sockets")
    .option("--max-connections <number>", "server: connections at one time (256)")
    .option("--max-per-source <number>", "server: connections from one address at one time (32)")
    .option("--max-apps <number>", "client: UDP addresses served at one time (64)")
    .option("--idle <seconds>", "end a connection on which nothing came or went for so long (600)")
    .option("--json", "one JSON object a line: ready, connected, closed, retrying, refused, stopped")
    .action(async (listen: string, rest: readonly string[], options: RelayOptions) => {
      const { runRelay } = await import("./relay-run.ts");
      await runRelay([listen, ...rest.slice(0, -1)], rest[rest.length - 1], options);
    });
}
