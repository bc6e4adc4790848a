/** `warren genkey`, `genpsk` and `pubkey`: the same keys, in the same text, as wg(8) makes and takes. */
import { getRandomValues } from "node:crypto";
import { fstatSync } from "node:fs";
import type { Command } from "commander";
import { wipe } from "../base/bytes.ts";
import { VpnError } from "../base/errors.ts";
import { keyLength, PresharedKey, PrivateKey, PublicKey } from "../base/keys.ts";
import { native } from "../crypto/native.ts";

const standardOutput = 1;
const inputLimit = 1024; // a key is 44 characters; the rest would be blanks

/** Declares the three commands. */
export function keyCommands(program: Command): void {
  program.command("genkey").description("print a new private key").action(generatePrivateKey);
  program.command("genpsk").description("print a new preshared key").action(generatePresharedKey);
  program
    .command("pubkey")
    .description("read a private key from standard input and print its public key")
    .action(derivePublicKey);
}

function generatePrivateKey(): void {
  const secret = getRandomValues(new Uint8Array(keyLength));
  // RFC 7748 §5. Whoever uses the key clamps it again; stored clamped it has one form, which is how wg(8) prints it.
  secret[0] &= 248;
  secret[31] = (secret[31] & 127) | 64;
  using key = new PrivateKey(secret);
  wipe(secret);
  printSecret(key);
}

function generatePresharedKey(): void {
  const secret = getRandomValues(new Uint8Array(keyLength));
  using key = new PresharedKey(secret);
  wipe(secret);
  printSecret(key);
}

async function derivePublicKey(): Promise<void> {
  using secret = parseInput(await readInput());
  console.log(new PublicKey(native.publicKey(secret.bytes)).toString());
}

/** What stands on standard input is no argument: a key that is none is a failure, not wrong usage, as with wg(8). */
function parseInput(text: string): PrivateKey {
  try {
    return PrivateKey.parse(text.trim());
  } catch (error) {
    if (!(error instanceof VpnError) || error.remedy === undefined) throw error;
    throw new VpnError("invalid-input", error.message, { remedy: error.remedy });
  }
}

function printSecret(key: PrivateKey | PresharedKey): void {
  const status = fstatSync(standardOutput);
  if (status.isFile() && (status.mode & 0o007) !== 0) {
    console.error("warren: warning: everyone may read the file this key is written to: set the umask to 077 first");
  }
  console.log(key.reveal());
}

async function readInput(): Promise<string> {
  let text = "";
  for await (const chunk of process.stdin.setEncoding("utf8")) {
    text += chunk;
    if (text.length > inputLimit) {
      throw new VpnError("invalid-input", "standard input is no private key", { remedy: "give one line of base64" });
    }
  }
  return text;
}
