/**
 * A chapter of docs/tutorial as its test reads it: the commands in it, and what it quotes of their output. The notation
 * is the one that docs/tutorial/README.md declares to readers. Pure.
 *
 * A fenced block of the language `console` that begins with `$ ` is a command and its output; one that does not quotes
 * further from the output of the command before. In an output `…` stands for anything within its line, `‹6.2›` for
 * anything likewise (it was 6.2 once), and a line of `…` alone for any number of lines, none included. All else is meant
 * literally, and in this order.
 */

/** A command, and its output as quoted, block by block. */
export interface Quotation {
  /** Of the command, in the chapter; from 1. */
  readonly line: number;
  readonly command: string;
  readonly blocks: readonly QuotedBlock[];
}

export interface QuotedBlock {
  /** Of the first quoted line, in the chapter; from 1. */
  readonly line: number;
  readonly lines: readonly string[];
}

const anything = "…";

/** All quotations of a chapter, in order. Throws where a block quotes before any command. */
export function readQuotations(markdown: string): Quotation[] {
  const quotations: { line: number; command: string; blocks: QuotedBlock[] }[] = [];
  const lines = markdown.split("\n");
  for (let at = 0; at < lines.length; at++) {
    if (lines[at] !== "```console") continue;
    const end = lines.indexOf("```", at + 1);
    if (end < 0) throw new Error(`line ${at + 1}: the block has no end`);
    let first = at + 1;
    if (lines[first]?.startsWith("$ ")) {
      quotations.push({ line: first + 1, command: lines[first].slice(2), blocks: [] });
      first++;
    }
    const current = quotations.at(-1);
    if (current === undefined) throw new Error(`line ${at + 1}: a block before any command`);
    if (first < end) current.blocks.push({ line: first + 1, lines: lines.slice(first, end) });
    at = end;
  }
  return quotations;
}

/**
 * What is wrong with a quotation, in a line that names the chapter's, or `undefined` where it holds. A first block quotes
 * from the output's first line on, unless it begins with `…`; between blocks, and after the last, there may be more.
 */
export function findFalsehood(quotation: Quotation, output: string): string | undefined {
  const printed = output.split("\n").map((line) => line.trimEnd());
  let at = 0;
  for (const [i, { line, lines }] of quotation.blocks.entries()) {
    const patterns = i === 0 ? lines : [anything, ...lines];
    const found = match(patterns, printed, at);
    if (found.kind === "mismatch") {
      const position = line + found.pattern - (i === 0 ? 0 : 1);
      const seen = found.seen === undefined ? "the output was at its end" : `there was ${JSON.stringify(found.seen)}`;
      return `line ${position}: ${JSON.stringify(patterns[found.pattern])} was not printed there: ${seen}`;
    }
    at = found.end;
  }
  return undefined;
}

type Match =
  | { readonly kind: "match"; readonly end: number }
  /** The first pattern that could not be met, the farthest that any attempt came, and what stood there instead. */
  | { readonly kind: "mismatch"; readonly pattern: number; readonly seen: string | undefined };

/** Meets all patterns one line each from `from` on; a line of `…` skips as few lines as it can. */
function match(patterns: readonly string[], printed: readonly string[], from: number): Match {
  let farthest: { pattern: number; seen: string | undefined } = { pattern: 0, seen: printed[from] };
  const attempt = (pattern: number, at: number): number | undefined => {
    if (pattern === patterns.length) return at;
    if (patterns[pattern].trim() === anything) {
      for (let skip = at; skip <= printed.length; skip++) {
        const end = attempt(pattern + 1, skip);
        if (end !== undefined) return end;
      }
      return undefined;
    }
    if (at < printed.length && patternOf(patterns[pattern]).test(printed[at])) return attempt(pattern + 1, at + 1);
    if (pattern > farthest.pattern) farthest = { pattern, seen: printed[at] };
    return undefined;
  };
  const end = attempt(0, from);
  return end === undefined ? { kind: "mismatch", ...farthest } : { kind: "match", end };
}

/** A quoted line as an expression for the whole of a printed one. */
function patternOf(line: string): RegExp {
  const parts = line.trimEnd().split(/…|‹[^›]*›/);
  return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`);
}
