/**
 * Compiles the packet kernels from AssemblyScript to WebAssembly. npm's `prepare` runs this, perhaps on the system's
 * Node 20, hence plain JavaScript. Where the compiler is not installed (`npm ci --omit=dev`) there is nothing to do.
 */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../src/packet/kernels/", import.meta.url));
const entries = ["checksum.ts", "cipher.ts", "coalescing.ts", "copy.ts", "segmentation.ts"];
const target = "kernels.wasm";

const asc = await findCompiler();
if (asc !== undefined) await compile(asc);

async function findCompiler() {
  try {
    return await import("assemblyscript/asc");
  } catch (error) {
    if (error.code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

async function compile(asc) {
  // The memory is imported with a minimum and no maximum, so that an arena of any size fits. `stub` and `noAssert`
  // leave out the allocator and the bounds checks: a kernel is handed offsets that were checked by its caller, and
  // WebAssembly itself keeps it inside its memory.
  const { error, stderr } = await asc.main(
    [
      ...entries,
      ...["--baseDir", folder, "--outFile", target],
      ...["-O3", "--enable", "simd", "--runtime", "stub", "--noAssert", "--importMemory", "--noExportMemory"],
    ],
    {
      writeFile(name, contents, baseDir) {
        // Through a rename: another process may be reading the module at this very moment.
        const temporary = join(baseDir, `${name}.${process.pid}`);
        writeFileSync(temporary, contents);
        renameSync(temporary, join(baseDir, name));
      },
    },
  );
  if (error === null) return;
  console.error(`compile-kernels: ${error.message}\n${stderr}`);
  process.exitCode = 1;
}
