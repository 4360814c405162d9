// One writer per data folder: a listening socket in the folder. It dies with its process, so that what a killed
// program leaves behind is told apart from one that runs, and it is seen through container boundaries.
import { randomBytes } from 'node:crypto';
import { closeSync, linkSync, openSync, renameSync, unlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { join } from 'node:path';
import { TributaryError } from '../stream/errors.ts';

export interface FolderLock {
  close(): Promise<void>;
}

const LOCK_FILE = 'owner.lock';
const ATTEMPTS_MAX = 5;
const ANSWER_MS = 1_000;

/** Throws BUSY when another process owns the folder. */
export async function lockFolder(folder: string): Promise<FolderLock> {
  // A socket's path is at most 107 bytes long; the folder's own descriptor names it in 30.
  const descriptor = openFolder(folder);
  const base = process.platform === 'linux' ? `/proc/self/fd/${descriptor}` : folder;
  try {
    const server = await acquire(folder, base);
    return {
      close: async () => {
        await new Promise((resolve) => server.close(resolve));
        closeSync(descriptor);
      },
    };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function openFolder(folder: string): number {
  try {
    return openSync(folder, 'r');
  } catch (cause) {
    throw unlockable(folder, cause as NodeJS.ErrnoException);
  }
}

async function acquire(folder: string, base: string): Promise<Server> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const server = await listen(folder, join(base, LOCK_FILE));
    if (server !== null) return server;
    const owner = await ask(join(base, LOCK_FILE));
    if (owner !== null) throw taken(folder, owner);
    await removeStale(folder, base);
  }
  throw taken(folder, 'unknown');
}

/** Null: the name is taken, by a program or by what is left of one. */
function listen(folder: string, path: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(`${process.pid}\n`);
    });
    server.once('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'EADDRINUSE') resolve(null);
      else reject(unlockable(folder, cause));
    });
    server.listen(path, () => resolve(server.unref()));
  });
}

/** The owner's process id as it says it, null when nobody listens. */
function ask(path: string): Promise<string | null> {
  return new Promise((resolve) => {
    let answer = '';
    const socket: Socket = connect(path);
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.once('connect', () => {
      answer = 'unknown';
    });
    socket.on('data', (chunk) => {
      answer = chunk.toString('latin1', 0, 20).trim();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => resolve(answer === '' ? null : answer));
  });
}

/** Moved aside first: between the question and the removal another program may have taken the name. */
async function removeStale(folder: string, base: string): Promise<void> {
  const lock = join(base, LOCK_FILE);
  const aside = join(base, `${LOCK_FILE}.${randomBytes(6).toString('hex')}`);
  try {
    renameSync(lock, aside);
  } catch (error) {
    const cause = error as NodeJS.ErrnoException;
    // Another program was faster.
    if (cause.code === 'ENOENT') return;
    throw unlockable(folder, cause);
  }
  const owner = await ask(aside);
  if (owner !== null) linkSync(aside, lock);
  unlinkSync(aside);
  if (owner !== null) throw taken(folder, owner);
}

function taken(folder: string, owner: string): TributaryError {
  return new TributaryError(
    'BUSY',
    `the data folder ${folder} belongs to a program that runs (process ${owner}); stop it or choose another --data`,
  );
}

function unlockable(folder: string, cause: NodeJS.ErrnoException): TributaryError {
  return new TributaryError(
    'CONFIG_INVALID',
    `the data folder ${folder} cannot be locked (${cause.code ?? cause.message}); it must be writable and on a local file system`,
    { cause },
  );
}
