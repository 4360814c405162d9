// What commands print: data on stdout, everything else on stderr. Only JSON is an interface; tables are for people.
import { isTributaryError } from '../stream/errors.ts';
import { CliError, EXIT } from './cli-error.ts';
import type { CliErrorFacts } from './cli-error.ts';

/** One document; `schema` comes first, so that a reader knows what it has. */
export function printDocument(schema: string, document: object): void {
  printLine(JSON.stringify({ schema, ...document }));
}

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function printNotice(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Columns padded to their widest cell, one row per object, no borders. */
export function printTable(heads: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = heads.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  for (const row of [heads, ...rows]) {
    printLine(
      row
        .map((cell, column) => printable(cell).padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  }
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
] as const;

/** In the largest unit of which there are two. */
export function duration(ms: number): string {
  for (const [name, unitMs] of UNITS) if (ms >= 2 * unitMs) return `${Math.floor(ms / unitMs)} ${name}`;
  return `${Math.round(ms / 1000)} s`;
}

/** Names come from gateways and clients: no control character of theirs reaches the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '?');
}

/** Says what went wrong on stderr and returns the exit code. */
export function reportError(error: unknown, isJson: boolean): number {
  const facts = factsOf(error);
  const { exit, ...shown } = facts;
  if (isJson) printNotice(JSON.stringify({ error: shown }));
  else {
    printNotice(`tributary: ${facts.message}`);
    if (facts.hint !== undefined) printNotice(`  ${facts.hint}`);
    if (facts.requestId !== undefined) printNotice(`  request ${facts.requestId}`);
  }
  return exit;
}

function factsOf(error: unknown): CliErrorFacts {
  if (error instanceof CliError) return error.facts;
  if (isTributaryError(error)) {
    const exit = error.code === 'CONFIG_INVALID' ? EXIT.usage : EXIT.failed;
    return { exit, code: error.code, message: error.message };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { exit: EXIT.failed, code: 'FAILED', message };
}
