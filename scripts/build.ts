/**
 * Makes `dist/`, which is what gets published: the sources compiled file by file beside their declarations, and all that
 * a checkout has at the same places, so that nothing has to know which of the two it runs in.
 *
 * The package leaves behind what only development needs. The pinned Node above all: whoever depends on warren would get
 * its 200 MB, and our `node` first on the PATH of their scripts.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const root = dirname(import.meta.dirname);
const copied = ["bin", "src/packet/kernels/kernels.wasm", "LICENSE", "README.md", "SECURITY.md", "CHANGELOG.md"];

if (import.meta.main) build(join(root, "dist"));

/** Replaces what is in the folder. Throws where the sources do not compile. */
export function build(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const target = ["--project", join(root, "tsconfig.build.json"), "--outDir", join(folder, "src")];
  execFileSync(process.execPath, [compiler, ...target], { stdio: "inherit" });
  for (const path of copied) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(root, path), join(folder, path), { recursive: true, dereference: true }); // npm packs no links
  }
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(published(manifest), null, 2)}\n`);
}

function published(manifest: Record<string, unknown>): Record<string, unknown> {
  const { private: _private, scripts: _scripts, devDependencies: _dev, optionalDependencies, ...kept } = manifest;
  const optional = Object.entries(optionalDependencies ?? {}).filter(([name]) => !name.startsWith("node-linux-"));
  return optional.length === 0 ? kept : { ...kept, optionalDependencies: Object.fromEntries(optional) };
}
