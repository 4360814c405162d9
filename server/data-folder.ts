// The folder that holds everything the server keeps, and the names in it.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { TributaryError } from '../stream/errors.ts';

export interface DataFolder {
  readonly path: string;
  readonly storeFile: string;
  readonly keyFile: string;
}

/** Made with mode 0700 when it is missing. */
export function openDataFolder(path: string): DataFolder {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new TributaryError(
      'CONFIG_INVALID',
      `the data folder ${path} cannot be made; choose another --data or make it first`,
      { cause },
    );
  }
  return { path, storeFile: join(path, 'server.mdb'), keyFile: join(path, 'server.key') };
}
