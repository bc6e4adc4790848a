/** A kernel that refuses some of the calls it is asked for, in this thread, until disposal. */
import koffi from "koffi";
import { libc } from "../../../src/os/libc.ts";

type Call = "write" | "sendmsg" | "recvmsg" | "getsockopt" | "setsockopt" | "ioctlNumber";

/** `errnoFor` says with which errno a call fails; 0 lets it through. Its arguments are numbers and memory, as in C. */
export function refuseCall(call: Call, errnoFor: (...parameters: never[]) => number): Disposable {
  const calls = libc as unknown as Record<Call, (...parameters: unknown[]) => number>;
  const real = calls[call];
  calls[call] = (...parameters) => {
    const errno = errnoFor(...(parameters as never[]));
    if (errno === 0) return real(...parameters);
    koffi.errno(errno);
    return -1;
  };
  return {
    [Symbol.dispose]() {
      calls[call] = real;
    },
  };
}
