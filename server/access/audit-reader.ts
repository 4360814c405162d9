// The newest entries of the audit log, for people.
import { open } from 'node:fs/promises';
import { AUDIT_FILES_MAX, auditFile } from './audit-log.ts';

/** Read from the end of each file. */
const TAIL_BYTES_MAX = 1024 * 1024;

/** At most `count` of them, oldest first. What is no whole line is left out. */
export async function newestEntries(path: string, count: number): Promise<unknown[]> {
  let entries: unknown[] = [];
  for (let age = 0; age < AUDIT_FILES_MAX && entries.length < count; age += 1)
    entries = [...(await entriesOf(auditFile(path, age))), ...entries];
  return entries.slice(-count);
}

async function entriesOf(path: string): Promise<unknown[]> {
  const text = await tailOf(path);
  return text.split('\n').flatMap((line): unknown[] => {
    try {
      return [JSON.parse(line)];
    } catch {
      // The first line of the tail, or one that a power cut tore.
      return [];
    }
  });
}

async function tailOf(path: string): Promise<string> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
  try {
    const { size } = await file.stat();
    const length = Math.min(size, TAIL_BYTES_MAX);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
