// The sources that the tidy tests read.
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../..');
/** In the order the data flows. */
export const LAYERS = [
  'stream',
  'runtime',
  'storage',
  'devices',
  'sync',
  'gateway',
  'server',
  'cli',
] as const;

export interface SourceFile {
  /** From the root, e.g. `stream/lane.ts`. */
  readonly path: string;
  readonly text: string;
}

export function sourcesOf(folders: readonly string[]): SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
      .map((file) => join(folder, file))
      .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') })),
  );
}
