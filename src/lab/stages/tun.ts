/**
 * The stage `tun`: a TUN device made by hand on a host that has no network at all, and a ping that this file answers. It
 * is what the seed's first listing does, call by call.
 *
 *   open → attach → address → up → route → read → answer → read6 → answer6 → close
 */
import { Cidr } from "../../base/address.ts";
import { fromHex, toHex } from "../../base/bytes.ts";
import { mainTable } from "../../os/routes.ts";
import { comparePackets, describeChange } from "../../packet/difference.ts";
import { dissect } from "../../packet/dissection.ts";
import { BareDevice, TUNSETIFF } from "../bare-device.ts";
import { answerEcho } from "../echo-answer.ts";
import type { Host } from "../host.ts";
import { type Journal, verify } from "../journal.ts";
import { recordPacket } from "../packet-account.ts";
import { echoKind, summarisePacket } from "../packet-summary.ts";
import type { PingRun } from "../record.ts";
import { defineStage, type Stage } from "../stage.ts";
import { address, type Topology } from "../topology.ts";
import type { Workbench } from "../workbench.ts";
import { type ReadPacket, type TunSteps, tunAccounts, type WrittenPacket } from "./tun-account.ts";

const topology: Topology = {
  hosts: [{ name: "client", role: "a laptop without any network", router: false, gateways: [] }],
  links: [],
};
const template = "tun%d";
const addresses: readonly string[] = [`${address.tunnelClient[0]}/24`, `${address.tunnelClient[1]}/64`];
const patienceMs = 15_000; // for the program to start: its patience begins with its packet

export const tunStage: Stage = defineStage<TunSteps>({
  name: "tun",
  description: "A TUN device made by hand, and a ping that nobody but this program answers",
  drawing: [
    "client, a network namespace with no link to anywhere",
    "",
    "ping 8.8.8.8 ──▶ the kernel's routing table ──▶ tun0 ──▶ read(fd)",
    "             ◀── the kernel's ICMP          ◀── tun0 ◀── write(fd)",
  ],
  topology,
  breakages: ["checksum"],
  accounts: tunAccounts,
  run,
});

async function run(bench: Workbench, journal: Journal<TunSteps>): Promise<void> {
  const client = bench.host("client");
  using device = new BareDevice();
  await journal.step("open", () => client.namespace.run(() => device.open()));
  const { name } = await journal.step("attach", () => attach(client, device));
  await journal.step("address", () => addAddresses(client, name));
  await journal.step("up", () => setUp(client, name));
  await journal.step("route", () => addRoutes(client, name));
  for (const [i, steps] of [["read", "answer"] as const, ["read6", "answer6"] as const].entries()) {
    const destination = address.dns[i];
    const ping = bench.ping("client", { destination, count: 1 });
    const { bytes } = await journal.step(steps[0], () => read(device, destination));
    const request = fromHex(bytes) ?? new Uint8Array(0);
    await journal.step(steps[1], () => answer(device, request, ping, bench.broken === "checksum"));
  }
  await journal.step("close", () => {
    device[Symbol.dispose]();
    verify(client.config.links.find(name) === undefined, `${name} to go with its descriptor`, "it is still there");
    const left = client.config.routes.list({ table: mainTable }).length;
    verify(left === 0, "its routes to go with it", `${left} are left`);
    return { gone: name };
  });
}

function attach(client: Host, device: BareDevice): TunSteps["attach"] {
  const { flags, before, after, name } = client.namespace.run(() => device.attach(template));
  const link = client.config.links.find(name);
  verify(link !== undefined, `an interface ${name}`, "the kernel lists none");
  const { index, kind = null, mtu, up } = link;
  verify(kind === "tun" && !up, "a TUN device that is down", `it is of the kind ${kind} and ${up ? "up" : "down"}`);
  return {
    request: `0x${TUNSETIFF.toString(16)}`,
    flags,
    before: toHex(before),
    after: toHex(after),
    name,
    link: { index, kind, mtu, up },
  };
}

function addAddresses(client: Host, name: string): TunSteps["address"] {
  const index = client.device(name);
  for (const text of addresses) client.config.addresses.add(index, Cidr.parse(text));
  const listed = client.config.addresses.list(index).map((found) => found.address.toString());
  verify(
    addresses.every((text) => listed.includes(text)),
    `the addresses ${addresses}`,
    `the kernel lists ${listed}`,
  );
  return { addresses: listed };
}

function setUp(client: Host, name: string): TunSteps["up"] {
  client.config.links.set(client.device(name), { up: true });
  const usable = client.config.settle(client.device(name), patienceMs);
  verify(usable, `the addresses of ${name} to be usable`, `one is not after ${patienceMs} ms`);
  const routes = client.config.routes.list({ table: mainTable }).map((route) => `${route.destination} dev ${name}`);
  const up = client.config.links.find(name)?.up === true;
  verify(
    up && routes.length > 0,
    `${name} up, with routes to its own network`,
    `it is ${up ? "up" : "down"}: ${routes}`,
  );
  return { up, routes: routes.filter((route) => !route.startsWith("fe80:")) };
}

function addRoutes(client: Host, name: string): TunSteps["route"] {
  const device = client.device(name);
  const chosen = address.dns.map((text) => {
    const destination = Cidr.parse(text);
    client.config.routes.add({ destination, device });
    const choice = client.config.routes.lookup(destination.address);
    const seen = `it chooses ${choice?.route.destination ?? "nothing"}`;
    verify(choice?.route.destination.equals(destination) === true, `the kernel to take ${destination}`, seen);
    return `asked for its way to ${text}, the kernel says: ${destination} dev ${name}, from ${choice.source}`;
  });
  return { destinations: address.dns.map((text) => Cidr.parse(text).toString()), chosen };
}

async function read(device: BareDevice, destination: string): Promise<ReadPacket> {
  const found = await device.read((packet) => isRequestTo(packet, destination), patienceMs);
  verify(found !== undefined, `the ping to ${destination} to come out of the device`, "it did not");
  return { destination, before: found.others.map(describe), ...recordPacket(found.packet) };
}

async function answer(
  device: BareDevice,
  request: Uint8Array,
  ping: Promise<PingRun>,
  spoil: boolean,
): Promise<WrittenPacket> {
  const reply = answerEcho(request);
  verify(reply !== undefined, "an echo request", "it is none");
  if (spoil) reply[checksumOffset(reply)] ^= 1;
  const written = device.write(reply);
  const run = await ping;
  verify(run.replies.length === 1, `${run.program} to get the reply`, "it got none");
  const changes = comparePackets(dissect(request), dissect(reply)).map(describeChange);
  return { written, changes, ping: run, ...recordPacket(reply) };
}

function isRequestTo(packet: Uint8Array, destination: string): boolean {
  const summary = summarisePacket(packet);
  return summary !== undefined && summary.destination === destination && echoKind(summary) === "request";
}

/** Such as `ICMPv6 143 (multicast listener report)`. */
function describe(packet: Uint8Array): string {
  const type = dissect(packet).find(({ name }) => name === "type");
  return type === undefined ? `${packet.length} bytes` : `${type.layer} ${type.value}`;
}

function checksumOffset(packet: Uint8Array): number {
  return dissect(packet).find(({ layer, name }) => layer.startsWith("ICMP") && name === "checksum")?.offset ?? 0;
}
