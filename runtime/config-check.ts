// What `--check-config` tells: every problem of a configuration, with what the setting means.
import { z } from 'zod';
import { isTributaryError } from '../stream/errors.ts';
import type { ConfigProblem } from './config.ts';

export interface ExplainedProblem extends ConfigProblem {
  readonly fix: string;
}

/** Runs `load`; none: the configuration is valid. `file` names what cannot be read. */
export function checkConfig(schema: z.ZodObject, load: () => unknown, file?: string): ExplainedProblem[] {
  try {
    load();
    return [];
  } catch (error) {
    if (!isTributaryError(error, 'CONFIG_INVALID')) throw error;
    const problems = error.details['problems'] as ConfigProblem[] | undefined;
    if (problems === undefined) return [{ path: file ?? '', message: error.message, fix: 'check the path' }];
    const settings = settingsOf(schema.shape, '');
    return problems.map((problem) => ({ ...problem, fix: fixFor(problem.path, settings) }));
  }
}

function fixFor(path: string, settings: ReadonlyMap<string, string>): string {
  // Elements of lists are described once.
  const known = settings.get(path) ?? settings.get(path.replaceAll(/\.\d+(?=\.|$)/g, '[]'));
  if (known !== undefined) return `${path}: ${known}`;
  const names = [...settings.keys()].filter((name) => path === '(top)' || name.startsWith(`${path}.`));
  return names.length === 0 ? 'correct the file' : `use only these settings: ${names.join(', ')}`;
}

/** Dotted path of every setting → its description. */
function settingsOf(shape: Readonly<Record<string, unknown>>, prefix: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, schema] of Object.entries(shape)) {
    const path = prefix + name;
    const inner = unwrap(schema);
    const element = inner instanceof z.ZodArray ? unwrap(inner.def.element) : null;
    if (inner instanceof z.ZodObject) merge(found, settingsOf(inner.shape, `${path}.`));
    if (element instanceof z.ZodObject) merge(found, settingsOf(element.shape, `${path}[].`));
    const description = schema instanceof z.ZodType ? schema.description : undefined;
    if (!(inner instanceof z.ZodObject) || description !== undefined) found.set(path, description ?? '');
  }
  return found;
}

function merge(target: Map<string, string>, source: ReadonlyMap<string, string>): void {
  for (const [path, text] of source) target.set(path, text);
}

function unwrap(schema: unknown): unknown {
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault || schema instanceof z.ZodOptional) {
    return unwrap(schema.def.innerType);
  }
  return schema;
}
