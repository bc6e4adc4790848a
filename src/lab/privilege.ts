/** Whether the lab runs as the machine's root, or as an ordinary user who is root in a user namespace of his own. */
import { readFileSync } from "node:fs";

/** In a user namespace, root's id stands for somebody else (user_namespaces(7)). */
export function privilege(): "root" | "user" {
  const [inside, outside] = readFileSync("/proc/self/uid_map", "utf8").trim().split(/\s+/);
  return inside === outside ? "root" : "user";
}
