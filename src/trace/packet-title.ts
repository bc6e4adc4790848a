/** A packet in half a line: what it is, from whom, to whom. Pure. */
import { dissect, type PacketField } from "../packet/dissection.ts";

/** Such as `ICMP echo request 1 10.8.0.2 > 8.8.8.8` or `TCP SYN 10.8.0.2:40000 > 192.0.2.9:443`. */
export function describePacket(packet: Uint8Array): string {
  const fields = dissect(packet);
  const value = (name: string) => fields.find((field) => field.name === name)?.value;
  const [source, destination] = [value("source") ?? "?", value("destination") ?? "?"];
  const transport = fields.findLast(({ layer }) => layer !== "payload")?.layer ?? "payload";
  switch (transport) {
    case "ICMP":
    case "ICMPv6":
      return `${transport} ${icmp(fields)} ${source} > ${destination}`;
    case "UDP":
      return `UDP ${withPort(source, value("source port"))} > ${withPort(destination, value("destination port"))}`;
    case "TCP": {
      const flags = value("header length and flags")?.replace(/^.*, /, "");
      return `TCP ${flags} ${withPort(source, value("source port"))} > ${withPort(destination, value("destination port"))}`;
    }
    default:
      return `${transport} packet ${source} > ${destination}`;
  }
}

function icmp(fields: readonly PacketField[]): string {
  const type = fields.find(({ name }) => name === "type")?.value ?? "";
  const number = fields.find(({ name }) => name === "sequence number")?.value;
  const name = /\((.*)\)/.exec(type)?.[1] ?? `type ${type}`;
  return number === undefined ? name : `${name} ${number}`;
}

function withPort(address: string, port: string | undefined): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
