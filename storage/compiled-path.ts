// Processes run compiled files, also when the one that starts them is run as its source.
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(import.meta.url);

/** `name`: a file beside the module at `url`, without its ending. */
export function compiledPath(url: string, name: string): string {
  const folder = dirname(fileURLToPath(url));
  if (!HERE.endsWith('.ts')) return join(folder, `${name}.js`);
  const root = dirname(dirname(HERE));
  return join(root, 'dist', relative(root, folder), `${name}.js`);
}
