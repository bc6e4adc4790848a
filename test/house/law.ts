/**
 * The law of ARCHITECTURE.md as a program: reads the map from its table, and says what in a tree of files breaks it.
 * Imports are found in the text. One of types alone counts like any other: who must know a type depends on its owner.
 */
import { posix } from "node:path";

/** File contents by path from the root of the repository. */
export type Tree = ReadonlyMap<string, string>;

/** The folders that each folder of `src` may import. */
export type Atlas = ReadonlyMap<string, ReadonlySet<string>>;

interface SourceFile {
  readonly path: string;
  /** Its folder in `src`, or "" for what lies in `src` itself or outside. */
  readonly folder: string;
  readonly text: string;
  /** The text without comments and without what stands in strings. */
  readonly code: string;
  /** Imported files as paths from the root, packages by name. */
  readonly imports: readonly string[];
}

type Rule = (file: SourceFile, atlas: Atlas) => readonly string[];

const lineLimit = 400;
const bannedNames = /^(utils?|helpers?|common|misc|types|shared|core)$/;
const pureFolders = ["base", "packet", "wireguard", "crypto"];
const impureFile = "src/crypto/native.ts";
const impureGlobal =
  /(?<![.\w$])(Math\.random|(?:Date|performance|process|console|crypto|fetch|set(?:Timeout|Interval|Immediate)|queueMicrotask)(?=\s*[.(]))/g;
/** The one folder of `src` that may import a package. */
const doors: Readonly<Record<string, string>> = { koffi: "os", "node:worker_threads": "dataplane", commander: "cli" };
/** Whole programs of their own, with exit codes of their own. */
const programs = "src/lab/programs/";

/** Everything that breaks the law, each as `path: what is wrong`. */
export function breaches(tree: Tree, atlas: Atlas): string[] {
  const files = [...tree].filter(([path]) => path.endsWith(".ts")).map(([path, text]) => parse(path, text));
  const sources = files.filter(({ path }) => path.startsWith("src/"));
  return [
    ...[...tree.keys()].flatMap((path) => checkNames(path).map((fault) => `${path}: ${fault}`)),
    ...files.flatMap((file) => checkLength(file).map((fault) => `${file.path}: ${fault}`)),
    ...sources.flatMap((file) => rules.flatMap((rule) => rule(file, atlas).map((fault) => `${file.path}: ${fault}`))),
    ...checkRows(sources, atlas),
    ...findCycles(sources),
  ];
}

const rules: readonly Rule[] = [
  function checkFolder({ path, folder }, atlas) {
    if (folder === "") return path === "src/index.ts" ? [] : ["lies in no folder of src"];
    return atlas.has(folder) ? [] : [`${folder} is not in the map`];
  },
  function checkLayers({ folder, imports }, atlas) {
    const above = imports.map(folderOf).filter((other) => other !== "" && other !== folder);
    return above.filter((other) => atlas.get(folder)?.has(other) === false).map((other) => `may not import ${other}`);
  },
  function checkPurity({ path, folder, imports, code }) {
    if (!pureFolders.includes(folder) || path === impureFile) return [];
    const modules = imports.filter((name) => name.startsWith("node:")).map((name) => `is pure, but imports ${name}`);
    return [...modules, ...(code.match(impureGlobal) ?? []).map((name) => `is pure, but uses ${name}`)];
  },
  function checkDoors({ folder, imports }) {
    const strangers = imports.filter((name) => name in doors && doors[name] !== folder);
    return strangers.map((name) => `imports ${name}, which only ${doors[name]} may`);
  },
  function checkExit({ path, folder, code }) {
    const mayExit = folder === "cli" || path.startsWith(programs);
    return !mayExit && /(?<![.\w$])process\.exit\b/.test(code) ? ["calls process.exit, which only cli may"] : [];
  },
  function checkExports({ path, code }) {
    const faults = /\bexport\s+default\b/.test(code) ? ["has a default export"] : [];
    const isBarrel = path !== "src/index.ts" && /\bexport\s+(?:type\s+)?(?:\*|\{[^}]*\}\s*from\b)/.test(code);
    return isBarrel ? [...faults, "exports what another file owns"] : faults;
  },
  function checkOpening({ text }) {
    return text.startsWith("/**") ? [] : ["does not open with a comment that says what it is"];
  },
];

function checkNames(path: string): string[] {
  const banned = path.split("/").filter((name) => bannedNames.test(name.split(".", 1)[0]));
  return banned.map((name) => `${name} says nothing: name it after what it is`);
}

function checkLength({ text }: SourceFile): string[] {
  const lines = text.replace(/\n$/, "").split("\n").length;
  return lines > lineLimit ? [`has ${lines} lines, more than ${lineLimit}`] : [];
}

function checkRows(sources: readonly SourceFile[], atlas: Atlas): string[] {
  const folders = new Set(sources.map(({ folder }) => folder));
  return [...atlas.keys()].filter((row) => !folders.has(row)).map((row) => `src/${row}: is in the map, but not there`);
}

/** Each circle once, as the files along it. */
function findCycles(sources: readonly SourceFile[]): string[] {
  const importsOf = new Map(sources.map(({ path, imports }) => [path, imports]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) cycles.push(`${[...trail.slice(start), path].join(" -> ")}: a cycle`);
    if (start >= 0 || done.has(path)) return;
    for (const next of importsOf.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const { path } of sources) visit(path, []);
  return cycles;
}

/** Reads the rows `| layer | folder/ | what it is | may import |`. "`a` and below" is `a` with every lower layer. */
export function readAtlas(markdown: string): Atlas {
  const rows = [...markdown.matchAll(/^\| (\d) \| `(\w+)\/` \|.*\| ([^|]+) \|$/gm)].map(
    ([, layer, folder, imports]) => ({ layer: Number(layer), folder, imports }),
  );
  const below = (limit: number) => rows.filter(({ layer }) => layer < limit).map(({ folder }) => folder);
  return new Map(
    rows.map(({ layer, folder, imports }) => {
      if (imports === "all below") return [folder, new Set(below(layer))];
      const named = [...imports.matchAll(/`(\w+)`/g)].map(([, name]) => name);
      const lowest = Math.min(...rows.filter((row) => named.includes(row.folder)).map((row) => row.layer));
      return [folder, new Set([...named, ...(imports.endsWith("and below") ? below(lowest) : [])])];
    }),
  );
}

function parse(path: string, text: string): SourceFile {
  const uncommented = text.replace(token, (found) => (/^\/[/*]/.test(found) ? "" : found));
  const code = uncommented.replace(token, (found) =>
    found.startsWith("`") ? `\`${found.match(/\$\{[^}]*\}/g)?.join("") ?? ""}\`` : '""',
  );
  const imports = [...uncommented.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g)].map(([, name]) =>
    name.startsWith(".") ? posix.join(posix.dirname(path), name) : name,
  );
  return { path, folder: folderOf(path), text, code, imports };
}

/** A comment, a string, a template, or a regular expression. */
const token =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|(?<=[=(,:[!&|?{};>]\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//g;

function folderOf(path: string): string {
  return /^src\/(\w+)\//.exec(path)?.[1] ?? "";
}
