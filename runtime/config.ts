// Loads a program's configuration: one YAML or JSON file, environment overrides from one table, all problems at once.
import { readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import type { z } from 'zod';
import { TributaryError } from '../stream/errors.ts';

export interface ConfigProblem {
  /** Dotted, e.g. `mqtt.port`. */
  readonly path: string;
  readonly message: string;
}

export interface ConfigSource<S extends z.ZodType> {
  readonly schema: S;
  /** Absent: defaults and overrides only. */
  readonly path?: string;
  /** Environment variable → dotted path. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Command-line values by dotted path; they win over the environment, which wins over the file. */
  readonly overrides?: Readonly<Record<string, unknown>>;
}

const CONFIG_BYTES_MAX = 1024 * 1024;

/** The validated, deep-frozen configuration. Throws CONFIG_INVALID whose details hold every problem. */
export function loadConfig<S extends z.ZodType>(source: ConfigSource<S>): z.output<S> {
  const document = source.path === undefined ? {} : readDocument(source.path);
  for (const [variable, path] of Object.entries(source.environment ?? {})) {
    const value = (source.env ?? process.env)[variable];
    if (value !== undefined) setAt(document, path, numeric(value));
  }
  for (const [path, value] of Object.entries(source.overrides ?? {})) {
    if (value !== undefined) setAt(document, path, value);
  }
  const result = source.schema.safeParse(document);
  if (result.success) return deepFreeze(result.data);
  throw invalid(
    result.error.issues.map((issue) => ({
      path: issue.path.map(String).join('.') || '(top)',
      message: issue.message,
    })),
  );
}

function readDocument(path: string): Record<string, unknown> {
  const document = parseDocument(readText(path), { prettyErrors: true });
  const problems = document.errors.map((error) => ({ path, message: error.message }));
  if (problems.length > 0) throw invalid(problems);
  const value: unknown = document.toJS() ?? {};
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw invalid([{ path, message: 'the file must hold a map of settings' }]);
}

function readText(path: string): string {
  try {
    const bytes = readFileSync(path);
    if (bytes.length <= CONFIG_BYTES_MAX) return bytes.toString('utf8');
  } catch (cause) {
    throw new TributaryError('CONFIG_INVALID', `cannot read the configuration file ${path}`, { cause });
  }
  throw invalid([{ path, message: `the file is larger than ${CONFIG_BYTES_MAX} bytes` }]);
}

function setAt(document: Record<string, unknown>, path: string, value: unknown): void {
  const names = path.split('.');
  const last = names.pop() ?? path;
  let at = document;
  for (const name of names) {
    const inner = at[name];
    const copy: Record<string, unknown> = typeof inner === 'object' && inner !== null ? { ...inner } : {};
    at[name] = copy;
    at = copy;
  }
  at[last] = value;
}

function numeric(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
}

function invalid(problems: readonly ConfigProblem[]): TributaryError {
  const lines = problems.map(({ path, message }) => `${path}: ${message}`);
  return new TributaryError(
    'CONFIG_INVALID',
    `the configuration has ${problems.length} problem(s): ${lines.join('; ')}`,
    { details: { problems } },
  );
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
