// The folder that holds everything a program keeps, and the names in it: made when it is missing, and refused in words
// that say what to do when it cannot be had.
import { mkdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { TributaryError } from '../stream/errors.ts';

export interface DataFolder {
  readonly path: string;
  readonly storeFile: string;
  readonly keyFile: string;
}

/** Made with mode 0700 when it is missing. Throws CONFIG_INVALID when it cannot be. */
export function openDataFolder(path: string, program: 'server' | 'gateway'): DataFolder {
  const problem = make(resolve(path));
  if (problem === null) return dataFolderOf(path, program);
  throw new TributaryError(
    'CONFIG_INVALID',
    `the data folder ${path} cannot be used: ${problem.text}; choose another --data or mend it`,
    { cause: problem.cause },
  );
}

/** The names in a folder that is there. */
export function dataFolderOf(path: string, program: 'server' | 'gateway'): DataFolder {
  return { path, storeFile: join(path, `${program}.mdb`), keyFile: join(path, `${program}.key`) };
}

interface Problem {
  readonly text: string;
  readonly cause?: unknown;
}

/**
 * One folder after the other. Asked to make all of them at once, Node never comes back where a file system says that a
 * folder which is there is not, as /proc does.
 */
function make(path: string): Problem | null {
  try {
    const problem = dirname(path) === path ? null : make(dirname(path));
    if (problem !== null) return problem;
    const status = statSync(path, { throwIfNoEntry: false });
    if (status?.isDirectory() === true) return null;
    if (status !== undefined) return { text: `${path} is not a folder` };
    mkdirSync(path, { mode: 0o700 });
    return null;
  } catch (cause) {
    return madeMeanwhile(path) ? null : { text: reasonOf(path, cause), cause };
  }
}

function madeMeanwhile(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    // The first failure tells why.
    return false;
  }
}

function reasonOf(path: string, cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return `${path} cannot be made or entered, because the program has no right to (${code})`;
    case 'ENOENT':
      return `nothing can be made in ${dirname(path)} (${code})`;
    case 'EEXIST':
      return `${path} is a link that leads nowhere (${code})`;
    case 'EROFS':
      return `${path} would be on a file system that is read-only (${code})`;
    case 'ENOSPC':
    case 'EDQUOT':
      return `there is no space left to make ${path} (${code})`;
    case 'ENAMETOOLONG':
      return `the name is too long (${code})`;
    default:
      return `${path} cannot be made (${code})`;
  }
}
