// Processes run compiled files, also when the one that starts them is run as its source.
import { fileURLToPath } from 'node:url';

/** `name`: a file beside the module at `url`, without its ending. */
export function compiledPath(url: string, name: string): string {
  const isSource = fileURLToPath(url).endsWith('.ts');
  return fileURLToPath(new URL(isSource ? `../dist/storage/${name}.js` : `./${name}.js`, url));
}
