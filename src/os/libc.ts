/**
 * The only door to C: every function of libc that warren calls, declared once.
 *
 * Two kinds of function live here. Those on the packet path take addresses as plain numbers, because a call with typed
 * pointers costs four times as much; the numbers come from an `Arena`, which sees to it that they are small integers.
 * The others run a few times in a tunnel's life and take a `Uint8Array` where C has a pointer. All return -1 on
 * failure; `errno()` must be asked straight after, before any other foreign call.
 */
import koffi from "koffi";

/** A place in this process's memory, as a number. */
export type Address = number;
/** A C pointer argument of a cold call; `null` is NULL. */
type Pointer = Uint8Array | null;

interface Libc {
  // Hot: once or more per batch of packets.
  read(fd: number, at: Address, length: number): number;
  write(fd: number, at: Address, length: number): number;
  sendmsg(fd: number, header: Address, flags: number): number;
  recvmsg(fd: number, header: Address, flags: number): number;
  ppoll(descriptors: Address, count: number, timeout: Address, signals: Address): number;
  clock_gettime(clock: number, at: Address): number;

  // Cold: opening, configuring, closing.
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  dup3(fd: number, onto: number, flags: number): number;
  ioctl(fd: number, request: number, argument: Pointer): number;
  /** The same call, for requests whose argument is a number and not a pointer. */
  ioctlNumber(fd: number, request: number, argument: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  eventfd(initial: number, flags: number): number;
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, name: Pointer, length: number): number;
  connect(fd: number, name: Pointer, length: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, name: Pointer, length: Pointer, flags: number): number;
  getsockname(fd: number, name: Pointer, length: Pointer): number;
  setsockopt(fd: number, level: number, option: number, value: Pointer, length: number): number;
  getsockopt(fd: number, level: number, option: number, value: Pointer, length: Pointer): number;
  sendto(fd: number, data: Pointer, length: number, flags: number, name: Pointer, nameLength: number): number;
  recvfrom(fd: number, data: Pointer, length: number, flags: number, name: Pointer, nameLength: Pointer): number;
  memfd_create(name: string, flags: number): number;
  ftruncate(fd: number, length: number): number;
  mmap(at: Address, length: number, protection: number, flags: number, fd: number, offset: number): Address;
  munmap(at: Address, length: number): number;
  madvise(at: Address, length: number, advice: number): number;
  unshare(flags: number): number;
  setns(fd: number, kind: number): number;
  mount(source: string, target: string, type: string, flags: number, data: string | null): number;
  prctl(option: number, value: number): number;
  signal(number: number, disposition: number): number;
  setpgid(process: number, group: number): number;
  dup2(from: number, to: number): number;
  flock(fd: number, operation: number): number;
}

const prototypes: Readonly<Record<keyof Libc, string>> = {
  read: "int64_t read(int fd, uintptr_t at, size_t length)",
  write: "int64_t write(int fd, uintptr_t at, size_t length)",
  sendmsg: "int64_t sendmsg(int fd, uintptr_t header, int flags)",
  recvmsg: "int64_t recvmsg(int fd, uintptr_t header, int flags)",
  ppoll: "int ppoll(uintptr_t descriptors, ulong count, uintptr_t timeout, uintptr_t signals)",
  clock_gettime: "int clock_gettime(int clock, uintptr_t at)",
  open: "int open(const char *path, int flags, int mode)",
  close: "int close(int fd)",
  dup3: "int dup3(int fd, int onto, int flags)",
  ioctl: "int ioctl(int fd, ulong request, void *argument)",
  ioctlNumber: "int ioctl(int fd, ulong request, ulong argument)",
  fcntl: "int fcntl(int fd, int command, long argument)",
  eventfd: "int eventfd(uint initial, int flags)",
  socket: "int socket(int family, int type, int protocol)",
  bind: "int bind(int fd, const void *name, uint length)",
  connect: "int connect(int fd, const void *name, uint length)",
  listen: "int listen(int fd, int backlog)",
  accept4: "int accept4(int fd, void *name, void *length, int flags)",
  getsockname: "int getsockname(int fd, void *name, void *length)",
  setsockopt: "int setsockopt(int fd, int level, int option, const void *value, uint length)",
  getsockopt: "int getsockopt(int fd, int level, int option, void *value, void *length)",
  sendto: "int64_t sendto(int fd, const void *data, size_t length, int flags, const void *name, uint nameLength)",
  recvfrom: "int64_t recvfrom(int fd, void *data, size_t length, int flags, void *name, void *nameLength)",
  memfd_create: "int memfd_create(const char *name, uint flags)",
  ftruncate: "int ftruncate(int fd, int64_t length)",
  mmap: "uintptr_t mmap(uintptr_t at, size_t length, int protection, int flags, int fd, int64_t offset)",
  munmap: "int munmap(uintptr_t at, size_t length)",
  madvise: "int madvise(uintptr_t at, size_t length, int advice)",
  unshare: "int unshare(int flags)",
  setns: "int setns(int fd, int kind)",
  mount: "int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)",
  prctl: "int prctl(int option, ulong value)",
  signal: "intptr_t signal(int number, intptr_t disposition)",
  setpgid: "int setpgid(int process, int group)",
  dup2: "int dup2(int from, int to)",
  flock: "int flock(int fd, int operation)",
};

const library = koffi.load("libc.so.6");

export const libc: Libc = Object.fromEntries(
  Object.entries(prototypes).map(([name, prototype]) => [name, library.func(prototype)]),
) as unknown as Libc;

/** The errno that the last foreign call of this thread left behind. */
export function errno(): number {
  return koffi.errno();
}

/** Where a buffer's first byte is; only for memory that never moves, such as a WebAssembly memory that cannot grow. */
export function addressOf(buffer: ArrayBuffer | SharedArrayBuffer): Address {
  return Number(koffi.address(new Uint8Array(buffer)));
}
