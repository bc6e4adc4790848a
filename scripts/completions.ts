/**
 * Writes the shells' completions, `contrib/completions/`, from the commands as they are declared:
 * `node scripts/completions.ts`. A test says when that has to be done again.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Argument, Command, type Option } from "commander";
import { commands } from "../src/cli/commands.ts";
import { breakableParts } from "../src/lab/stage-list.ts";

/**
 * What a word may be besides those that are known: a configuration's name or file, one that is up, a live interface, a
 * file.
 */
type Kind = "config" | "running" | "interface" | "file" | "choice" | "other";

/** Commands whose configuration is one that is up. */
const forRunning: readonly string[] = ["down", "reload"];

interface Word {
  readonly kind: Kind;
  readonly choices: readonly string[];
  readonly name: string;
}

interface Flag {
  readonly names: readonly string[];
  readonly description: string;
  /** What follows it, where something does. */
  readonly value: Word | undefined;
}

interface Node {
  /** Below the program, with blanks between: `classic server`; empty for the program itself. */
  readonly path: string;
  readonly description: string;
  readonly flags: readonly Flag[];
  readonly children: readonly Node[];
  readonly argument: Word | undefined;
}

const header = (shell: string) =>
  `# Completion of warren and warren-wg for ${shell}. Written by scripts/completions.ts: change the commands, not this.\n`;

/** The files, as they should be, by their path in the repository. */
export function completions(): Readonly<Record<string, string>> {
  const root = read(declaredProgram(), "");
  return {
    "contrib/completions/warren.bash": bash(root),
    "contrib/completions/_warren": zsh(root),
    "contrib/completions/warren.fish": fish(root),
  };
}

/** The program with all its commands, none of which is run. */
export function declaredProgram(): Command {
  const program = new Command("warren")
    .option("-V, --version", "print the version")
    .option("--verbose", "say more about what went wrong")
    .helpOption("-h, --help", "print this help, or a command's");
  for (const command of commands) command(program);
  return program;
}

function read(command: Command, path: string, siblings: readonly Command[] = []): Node {
  const help = command.createHelp();
  const [argument] = command.registeredArguments;
  return {
    path,
    description: command.description(),
    flags: help.visibleOptions(command).map((option) => ({
      names: [option.short, option.long].flatMap((name) => name ?? []),
      description: option.description,
      value: option.required || option.optional ? wordOf(option, placeholder(option)) : undefined,
    })),
    children: help
      .visibleCommands(command)
      .map((child) => read(child, `${path} ${child.name()}`.trim(), command.commands)),
    argument: argument && argumentOf(command, argument, siblings),
  };
}

/** `help` takes the name of a command beside it. */
function argumentOf(command: Command, argument: Argument, siblings: readonly Command[]): Word {
  const word = wordOf(argument, argument.name());
  if (word.kind === "config" && forRunning.includes(command.name())) return { ...word, kind: "running" };
  if (command.name() !== "help") return word;
  return { ...word, kind: "choice", choices: siblings.map((one) => one.name()) };
}

function wordOf({ argChoices }: Option | Argument, name: string): Word {
  const kinds: readonly Kind[] = ["config", "interface", "file"];
  if (name === "part") return { kind: "choice", choices: breakableParts, name };
  const kind = argChoices === undefined ? (kinds.find((known) => known === name) ?? "other") : "choice";
  return { kind, choices: argChoices ?? [], name };
}

/** What an option's value is called, as in `--pcap <file>`. A name that is to be given is none that there is. */
function placeholder(option: Option): string {
  const name = /[<[](\w+)/.exec(option.flags)?.[1] ?? option.attributeName();
  return name === "interface" ? option.attributeName() : name;
}

function allNodes(node: Node): Node[] {
  return [node, ...node.children.flatMap(allNodes)];
}

function bash(root: Node): string {
  const nodes = allNodes(root);
  const offer = ({ kind, choices }: Word) =>
    ({
      config: "_warren_configs",
      running: "_warren_running",
      interface: "_warren_interfaces",
      file: "_warren_files",
      choice: `_warren_words "${choices.join(" ")}"`,
      other: ":",
    })[kind];
  const values = nodes.flatMap(({ path, flags }) =>
    flags.flatMap(({ names, value }) =>
      value === undefined
        ? []
        : [`    ${names.map((name) => `"${path} ${name}"`).join(" | ")}) ${offer(value)}; return ;;`],
    ),
  );
  const paths = nodes.slice(1).map(({ path }) => `"${path}"`);
  const cases = nodes.map(({ path, flags, children, argument }) => {
    const words = [...children.map((child) => child.path.split(" ").at(-1)), ...flags.flatMap(({ names }) => names)];
    if (argument === undefined || argument.kind === "other")
      return `    "${path}") _warren_words "${words.join(" ")}" ;;`;
    // Options are offered to who begins one: what there is to name comes first.
    return `    "${path}") case "$current" in -*) _warren_words "${words.join(" ")}" ;; *) ${offer(argument)} ;; esac ;;`;
  });
  return `${header("bash")}
_warren_words() {
  local word
  while read -r word; do COMPREPLY+=("$word"); done < <(compgen -W "$1" -- "\${COMP_WORDS[COMP_CWORD]}")
}

_warren_files() {
  local word
  compopt -o filenames 2>/dev/null
  while read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")
}

_warren_names() {
  local file names=""
  for file in "$@"; do
    [ -e "$file" ] || continue
    file=\${file##*/}
    names+=" \${file%.*}"
  done
  _warren_words "$names"
}

_warren_conf_files() {
  local word
  compopt -o filenames 2>/dev/null
  while read -r word; do COMPREPLY+=("$word"); done < <(
    compgen -f -X "!*.conf" -- "\${COMP_WORDS[COMP_CWORD]}"
    compgen -d -- "\${COMP_WORDS[COMP_CWORD]}"
  )
}

_warren_configs() {
  _warren_names /etc/wireguard/*.conf /etc/warren/*.conf
  _warren_conf_files
}

_warren_running() {
  _warren_interfaces
  _warren_conf_files
}

_warren_interfaces() { _warren_names /var/run/wireguard/*.sock; }

_warren() {
  local path="" longer word previous=\${COMP_WORDS[COMP_CWORD - 1]} current=\${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    longer="\${path:+$path }$word"
    case "$longer" in
    ${paths.join(" | ")}) path=$longer ;;
    esac
  done
  case "$path $previous" in
${values.join("\n")}
  esac
  case "$path" in
${cases.join("\n")}
  esac
}

_warren_wg() {
  COMPREPLY=()
  _warren_words "-f --foreground -h --help -V --version"
}

complete -F _warren warren
complete -F _warren_wg warren-wg
`;
}

function zsh(root: Node): string {
  const functionOf = (path: string) => `_warren${path === "" ? "" : `_${path.replaceAll(/[ -]/g, "_")}`}`;
  const offer = ({ kind, choices, name }: Word) =>
    ({
      config: `${name}:_warren_configs`,
      running: `${name}:_warren_running`,
      interface: `${name}:_warren_interfaces`,
      file: `${name}:_files`,
      choice: `${name}:(${choices.join(" ")})`,
      other: `${name}: `,
    })[kind];
  const escapeText = (text: string) => text.replaceAll(/[[\]:\\]/g, "\\$&").replaceAll("'", "'\\''");
  const functions = allNodes(root).map(({ path, flags, children, argument }) => {
    const specs = flags.map(({ names, description, value }) => {
      const shape = names.length === 1 ? names[0] : `(${names.join(" ")})'{${names.join(",")}}'`;
      return `'${shape}[${escapeText(description)}]${value === undefined ? "" : `:${offer(value)}`}'`;
    });
    if (argument !== undefined) specs.push(`'1:${offer(argument)}'`);
    if (children.length === 0) return `${functionOf(path)}() {\n  _arguments -s ${lines(specs, 4)}\n}\n`;
    const described = children.map((child) => `'${child.path.split(" ").at(-1)}:${escapeText(child.description)}'`);
    const calls = children.map((child) => `    ${child.path.split(" ").at(-1)}) ${functionOf(child.path)} ;;`);
    return `${functionOf(path)}() {
  local curcontext=$curcontext state line
  _arguments -C -s ${lines([...specs, "'1:command:->command'", "'*::argument:->argument'"], 4)}
  case $state in
  command)
    local -a commands=(${lines(described, 6)})
    _describe command commands
    ;;
  argument)
    case $line[1] in
${calls.join("\n")}
    esac
    ;;
  esac
}
`;
  });
  return `#compdef warren warren-wg
${header("zsh")}
_warren_configs() {
  local -a names=(/etc/wireguard/*.conf(N:t:r) /etc/warren/*.conf(N:t:r))
  _alternative 'names:configuration:compadd -a names' 'files:file:_files -g "*.conf(-.)"'
}

_warren_running() {
  local -a names=(/var/run/wireguard/*.sock(N:t:r))
  _alternative 'names:tunnel:compadd -a names' 'files:file:_files -g "*.conf(-.)"'
}

_warren_interfaces() {
  local -a names=(/var/run/wireguard/*.sock(N:t:r))
  _wanted interfaces expl interface compadd -a names
}

_warren_wg() {
  _arguments -s '(-f --foreground)'{-f,--foreground}'[stay in the foreground]' \\
    '(-h --help)'{-h,--help}'[print how to use it]' '(-V --version)'{-V,--version}'[print the version]' '1:interface: '
}

${functions.join("\n")}
if [[ $service == warren-wg ]]; then _warren_wg "$@"; else _warren "$@"; fi
`;
}

function lines(items: readonly string[], indent: number): string {
  return items.map((item) => `\\\n${" ".repeat(indent)}${item}`).join(" ");
}

function fish(root: Node): string {
  const quote = (text: string) => `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
  const offer = ({ kind, choices }: Word) =>
    ({
      config: "-f -a '(__warren_configs) (__warren_conf_files)'",
      running: "-f -a '(__warren_interfaces) (__warren_conf_files)'",
      interface: "-f -a '(__warren_interfaces)'",
      file: "-F",
      choice: `-f -a ${quote(choices.join(" "))}`,
      other: "-f",
    })[kind];
  const rules = allNodes(root).flatMap(({ path, flags, children, argument }) => {
    const rule = (...parts: string[]) =>
      ["complete -c warren -n", quote(`__warren_at ${quote(path)}`), ...parts].filter((part) => part !== "").join(" ");
    return [
      ...children.map((child) => rule("-a", child.path.split(" ").at(-1) ?? "", "-d", quote(child.description))),
      ...flags.map(({ names, description, value }) => {
        const switches = names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
        return rule(...switches, ...(value === undefined ? [] : ["-r", offer(value)]), "-d", quote(description));
      }),
      ...(argument === undefined || argument.kind === "other" ? [] : [rule(offer(argument))]),
    ];
  });
  const paths = allNodes(root).map(({ path }) => quote(path));
  return `${header("fish")}
function __warren_configs
    set -l files /etc/wireguard/*.conf /etc/warren/*.conf
    string replace -r '.*/(.*)\\.conf$' '$1' -- $files
end

# The configurations, and the folders on the way to some, that begin with the word so far.
function __warren_conf_files
    set -l word (commandline -ct)
    set -l files $word*.conf $word*/
    string join \\n -- $files
end

function __warren_interfaces
    set -l files /var/run/wireguard/*.sock
    string replace -r '.*/(.*)\\.sock$' '$1' -- $files
end

# Whether the words so far lead to this command.
function __warren_at
    set -l path
    for word in (commandline -opc)[2..-1]
        set -l longer (string join -- ' ' $path $word)
        contains -- "$longer" ${paths.slice(1).join(" ")}; and set path $longer
    end
    test "$path" = "$argv[1]"
end

complete -c warren -f
${rules.join("\n")}

complete -c warren-wg -f
complete -c warren-wg -s f -l foreground -d 'stay in the foreground'
complete -c warren-wg -s h -l help -d 'print how to use it'
complete -c warren-wg -s V -l version -d 'print the version'
`;
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(completions())) {
    const file = new URL(`../${path}`, import.meta.url);
    mkdirSync(dirname(file.pathname), { recursive: true });
    writeFileSync(file, text);
  }
}
