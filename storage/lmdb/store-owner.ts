// One process owns a store: what it decides in memory would be wrong if another one wrote. Every transaction asks for the
// owner's key; whoever opens the store replaces it, and is refused while the owner of before is alive.
import { randomUUID } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { TributaryError } from '../../stream/errors.ts';
import type { Table } from './batch.ts';

const PREFIX = 'owner/';
/** Owners of which a row is left; more than one only after a bug. */
const OWNERS_MAX = 16;

interface Owner {
  readonly pid: number;
  /** Tells a process from a later one with the same id; null where the system does not say. */
  readonly startedAt: string | null;
  /** The file it opened: in a copy of the file the row means nothing. Absent in rows of earlier versions. */
  readonly file?: string;
}

/**
 * Makes this process the owner and returns the key that says so. Called alone with the table. Throws BUSY while another
 * process has the store open.
 */
export function claimStore(system: Table, path: string): Buffer {
  const rows = system
    .range(Buffer.from(PREFIX), OWNERS_MAX)
    .filter(({ key }) => Buffer.from(key).toString().startsWith(PREFIX));
  const file = fileOf(path);
  for (const { value } of rows) {
    const owner = JSON.parse(Buffer.from(value).toString()) as Owner;
    if (owner.file === undefined || owner.file === file) refuseAlive(owner, path);
  }
  for (const { key } of rows) void system.remove(key);
  const owner: Owner = { pid: process.pid, startedAt: startOf(process.pid), file };
  const key = Buffer.from(PREFIX + randomUUID());
  void system.put(key, Buffer.from(JSON.stringify(owner)));
  return key;
}

function refuseAlive(owner: Owner, path: string): void {
  if (owner.pid === process.pid || owner.startedAt === null) return;
  if (startOf(owner.pid) !== owner.startedAt) return;
  throw new TributaryError('BUSY', `process ${owner.pid} has ${path} open; stop it first`);
}

/** Device and inode, which a copy does not share. */
function fileOf(path: string): string {
  const { dev, ino } = statSync(path, { bigint: true });
  return `${dev}:${ino}`;
}

/** Boot and start time of a process, null when there is none or the system is not Linux. */
function startOf(pid: number): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; the state follows it, the start time is the 20th field behind.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : `${boot}/${fields[19]}`;
  } catch {
    // No such process, or no such file system.
    return null;
  }
}
