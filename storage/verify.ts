// `tributary log verify DIR`: checks every store in a folder, each in a process of its own, because opening a damaged
// file may end the process that does it.
import { fork } from 'node:child_process';
import { closeSync, existsSync, openSync, readSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TributaryError } from '../stream/errors.ts';
import { ReportBuilder } from './verify-report.ts';
import type { VerifyReport } from './verify-report.ts';

export type { Damage, DamageKind, VerifyReport } from './verify-report.ts';

const STORE_SUFFIX = '.mdb';
/** LMDB's magic number, in the first bytes of its root page. */
const LMDB_MAGIC = 0xbeefc0de;
const LMDB_HEAD_BYTES = 64;
/** Of what a dying process said. */
const LAST_WORDS_BYTES = 500;

/** `path`: a folder, or one store file. Throws CONFIG_INVALID when there is no such folder. Opens nothing for writing. */
export async function verifyFolder(path: string): Promise<VerifyReport> {
  const report = new ReportBuilder();
  for (const file of storeFiles(path, report)) {
    if (isStore(file, report)) report.add(await verifyInChild(file));
  }
  return report.report();
}

function storeFiles(path: string, report: ReportBuilder): string[] {
  if (path.endsWith(STORE_SUFFIX) && !(existsSync(path) && statSync(path).isDirectory())) return [path];
  if (!existsSync(path)) {
    throw new TributaryError(
      'CONFIG_INVALID',
      `there is no folder ${path}; give the data folder of a program`,
    );
  }
  if (!statSync(path).isDirectory()) {
    throw new TributaryError('CONFIG_INVALID', `${path} is neither a folder nor a file that ends in .mdb`);
  }
  const names = readdirSync(path).filter((name) => name.endsWith(STORE_SUFFIX));
  if (names.length === 0) report.damage('missing-file', null, `there is no store (*.mdb) in ${path}`);
  return names.toSorted().map((name) => join(path, name));
}

function isStore(file: string, report: ReportBuilder): boolean {
  if (!existsSync(file)) {
    report.damage('missing-file', null, `${file} is missing`);
    return false;
  }
  if (statSync(file).size === 0) {
    report.damage('empty-file', null, `${file} is empty: what it held is lost`);
    return false;
  }
  if (hasMagic(file)) return true;
  report.damage(
    'not-a-store',
    null,
    `${file} does not start as a store does: it is damaged or something else`,
  );
  return false;
}

function hasMagic(file: string): boolean {
  const head = Buffer.alloc(LMDB_HEAD_BYTES);
  const descriptor = openSync(file, 'r');
  readSync(descriptor, head, 0, LMDB_HEAD_BYTES, 0);
  closeSync(descriptor);
  // Behind the page's header, which has 16 or 24 bytes.
  return head.readUInt32LE(16) === LMDB_MAGIC || head.readUInt32LE(24) === LMDB_MAGIC;
}

function verifyInChild(file: string): Promise<VerifyReport> {
  return new Promise((resolve) => {
    const child = fork(childPath(), [file], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    let answer: VerifyReport | null = null;
    let words = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      words = (words + chunk.toString()).slice(-LAST_WORDS_BYTES);
    });
    child.on('message', (message) => {
      answer = message as VerifyReport;
    });
    child.on('error', (error) => {
      words += error.message;
    });
    child.on('close', (code, signal) => resolve(answer ?? unreadable(file, code, signal, words)));
  });
}

function unreadable(file: string, code: number | null, signal: string | null, words: string): VerifyReport {
  const report = new ReportBuilder();
  const end = signal === null ? `exit code ${code}` : `signal ${signal}`;
  const said = words.trim() === '' ? '' : ` (${words.trim()})`;
  report.damage('unreadable', null, `${file} is damaged: reading it ended the process with ${end}${said}`);
  return report.report();
}

/** Processes run compiled files, also when this one is run as its source. */
function childPath(): string {
  const here = fileURLToPath(import.meta.url);
  return here.endsWith('.ts')
    ? fileURLToPath(new URL('../dist/storage/verify-child.js', import.meta.url))
    : fileURLToPath(new URL('./verify-child.js', import.meta.url));
}
