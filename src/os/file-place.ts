/**
 * Which file a path leads to, as this thread sees it. In another mount namespace the same path may lead elsewhere:
 * `ip netns exec` puts /etc/netns/NAME/resolv.conf over /etc/resolv.conf. An inode says it only until the file is
 * replaced, and a mount namespace is a new one with every `ip netns exec`; what stays is where in its file system it lies.
 */
import { closeSync, constants, existsSync, openSync, readFileSync, realpathSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";

const O_PATH = 0o10000000; // Linux; Node has no name for it

/** Such as `8:1/etc/resolv.conf`: the device of the file system, and the path in it. The file itself may be missing. */
export function filePlace(path: string): string {
  const seen = join(realpathSync(dirname(path)), basename(path));
  const id = mountIdOf(seen) ?? mountIdOf(dirname(seen));
  const mount = mountsHere().find((one) => one.id === id);
  return mount === undefined ? seen : mount.device + join(mount.root, relative(mount.point, seen));
}

/** A path that leads to a place in this thread's mount namespace, if one does. */
export function pathTo(place: string): string | undefined {
  const candidates = mountsHere().flatMap(({ device, root, point }) => {
    const inside = relative(root, place.slice(device.length));
    return place.startsWith(`${device}/`) && !inside.startsWith("..") ? join(point, inside) : [];
  });
  return candidates.find((path) => existsSync(dirname(path)) && filePlace(path) === place); // others may lie over it
}

/** Mount id, parent's id, device, root within the file system, mount point (proc(5), /proc/pid/mountinfo). */
function mountsHere(): { id: string; device: string; root: string; point: string }[] {
  const lines = readFileSync("/proc/thread-self/mountinfo", "utf8").trimEnd().split("\n");
  return lines.map((line) => {
    const [id, , device, root, point] = line.split(" ");
    return { id, device, root: unescapeOctal(root), point: unescapeOctal(point) };
  });
}

function mountIdOf(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return /^mnt_id:\s*([0-9]+)$/m.exec(readFileSync(`/proc/thread-self/fdinfo/${fd}`, "utf8"))?.[1];
  } finally {
    closeSync(fd);
  }
}

/** Blanks and the like are written in octal there. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
