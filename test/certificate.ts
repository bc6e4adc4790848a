/**
 * A certificate for tests, made on the spot: self-signed, P-256, valid for a day, for `localhost` and 127.0.0.1. Written
 * as DER by hand (RFC 5280 §4.1), because Node makes keys but no certificates, and `openssl` need not be there.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

export interface TestCertificate {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

const Tag = { integer: 2, bits: 3, octets: 4, oid: 6, utf8: 12, time: 23, sequence: 0x30, set: 0x31 } as const;
const commonName = [0x55, 4, 3]; // 2.5.4.3
const subjectAltName = [0x55, 0x1d, 0x11]; // 2.5.29.17
const basicConstraints = [0x55, 0x1d, 0x13]; // 2.5.29.19
const ecdsaWithSha256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]; // 1.2.840.10045.4.3.2
const dayMs = 86_400_000;

export function makeCertificate(): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const body = certificateBody(publicKey);
  const signature = sign("sha256", body, privateKey);
  const whole = der(Tag.sequence, body, algorithm(), der(Tag.bits, Buffer.of(0), signature));
  const base64 = whole
    .toString("base64")
    .match(/.{1,64}/g)
    ?.join("\n");
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function certificateBody(publicKey: KeyObject): Buffer {
  const name = der(
    Tag.sequence,
    der(Tag.set, der(Tag.sequence, oid(commonName), der(Tag.utf8, Buffer.from("localhost")))),
  );
  const names = der(Tag.sequence, der(0x82, Buffer.from("localhost")), der(0x87, Buffer.of(127, 0, 0, 1)));
  const isAuthority = der(Tag.sequence, der(1, Buffer.of(255)));
  return der(
    Tag.sequence,
    der(0xa0, der(Tag.integer, Buffer.of(2))), // version 3
    der(Tag.integer, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm(),
    name,
    der(Tag.sequence, time(Date.now() - dayMs), time(Date.now() + dayMs)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, der(Tag.sequence, extension(subjectAltName, names), extension(basicConstraints, isAuthority))),
  );
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const length = content.length;
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.of(tag, ...head), content]);
}

function oid(bytes: readonly number[]): Buffer {
  return der(Tag.oid, Buffer.from(bytes));
}

function algorithm(): Buffer {
  return der(Tag.sequence, oid(ecdsaWithSha256));
}

function extension(id: readonly number[], value: Buffer): Buffer {
  return der(Tag.sequence, oid(id), der(Tag.octets, value));
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/\D/g, "").slice(2, 14);
  return der(Tag.time, Buffer.from(`${digits}Z`));
}
