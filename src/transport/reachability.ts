/** From how far away an address can be reached: what decides whether something that protects nothing may listen there. */
import { Cidr, type IpAddress } from "../base/address.ts";

/** Loopback, link-local, private (RFC 1918), shared (RFC 6598) and unique local (RFC 4193) addresses. */
const nearby = [
  "127.0.0.0/8",
  "169.254.0.0/16",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "::1/128",
  "fe80::/10",
  "fc00::/7",
].map((text) => Cidr.parse(text));

/** Whether strangers may reach the address. The unspecified one stands for all addresses of a machine and counts as such. */
export function isPublicAddress(address: IpAddress): boolean {
  return !nearby.some((prefix) => prefix.contains(address));
}
