/** Who a listening side says it is: a certificate with its chain and the key to it, as PEM files have them. */
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { getSystemErrorMessage } from "node:util";
import { VpnError } from "../base/errors.ts";

/** PEM. */
export interface TlsIdentity {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

/** Throws `not-available` for a file that cannot be read, `invalid-configuration` for two that do not belong together. */
export function readIdentity(cert: string, key: string): TlsIdentity {
  const identity = { cert: readSmallFile(cert), key: readSmallFile(key) };
  try {
    createSecureContext(identity);
    return identity;
  } catch (error) {
    throw new VpnError("invalid-configuration", `${cert} and ${key} are no certificate with its key`, {
      remedy: "both are PEM, and the first certificate in the file is the server's own",
      cause: error,
    });
  }
}

/** Throws `not-available` in one line. */
export function readSmallFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    const why = errno === undefined ? String(error) : getSystemErrorMessage(errno);
    throw new VpnError("not-available", `cannot read ${path}: ${why}`, { cause: error });
  }
}
