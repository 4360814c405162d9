// The version of this package, found from wherever this file was built to.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

let known: string | null = null;

export function programVersion(): string {
  known ??= readVersion(import.meta.dirname);
  return known;
}

function readVersion(folder: string): string {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    if (manifest['name'] === 'tributary') return String(manifest['version']);
  } catch {
    // Not here: one folder up.
  }
  return dirname(folder) === folder ? 'unknown' : readVersion(dirname(folder));
}
