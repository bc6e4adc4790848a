/** The names that the lab's name server knows, and the one the client asks for. */
import type { Zone } from "./dns-message.ts";

export const askedName = "burrow.warren.example";

export const zone: Zone = {
  [askedName]: ["192.0.2.80", "2001:db8:80::80"],
  "meadow.warren.example": ["192.0.2.81", "2001:db8:80::81"],
  "warren.example": ["192.0.2.1", "2001:db8:80::1"],
};
