// Goal: every change and refusal is in the file, the file stays small, and a failing disk stops nothing. Method: a real
// folder, rotated early.
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AuditLog } from '../../server/access/audit-log.ts';
import type { AuditEntry } from '../../server/access/audit-log.ts';
import { newestEntries } from '../../server/access/audit-reader.ts';
import type { Log } from '../../stream/ports.ts';

const errors: string[] = [];
const nothing = (): void => undefined;
const log: Log = {
  debug: nothing,
  info: nothing,
  notice: nothing,
  warn: nothing,
  error: (event) => void errors.push(event),
  child: () => log,
};
let nowMs = 0;
const clock = { wallMs: () => nowMs, monotonicUs: () => 0n };

let folder: string;
let path: string;
let audit: AuditLog;
beforeEach(async () => {
  errors.length = 0;
  nowMs = Date.UTC(2026, 0, 1);
  folder = mkdtempSync(join(tmpdir(), 'tributary-audit-'));
  path = join(folder, 'audit.log');
  audit = await AuditLog.open(path, { clock, log, fileBytesMax: 1_000 });
});
afterEach(async () => {
  await audit.close();
  rmSync(folder, { recursive: true, force: true });
});

const entry = (more: Partial<AuditEntry> = {}): AuditEntry => ({
  requestId: 'r',
  sourceAddress: '192.0.2.1',
  user: 'arn:aws:iam::000000000000:user/ada',
  accessKeyId: 'AK',
  action: 'kinesis:CreateStream',
  resource: '*',
  outcome: 'ok',
  ...more,
});

it('a line says who did what to what, from where, when, and how it ended', async () => {
  audit.record(entry());
  const { outcome: _outcome, ...call } = entry();
  await expect(audit.around(call, () => Promise.resolve(7))).resolves.toBe(7);
  const failure = Object.assign(new Error('with a secret'), { type: 'ResourceInUseException' });
  await expect(audit.around(call, () => Promise.reject(failure))).rejects.toBe(failure);
  await audit.written();
  const time = '2026-01-01T00:00:00.000Z';
  const failed = { ...entry(), time, outcome: 'failed', error: 'ResourceInUseException' };
  expect(await newestEntries(path, 10)).toEqual([{ ...entry(), time }, { ...entry(), time }, failed]);
  expect(await newestEntries(path, 1)).toEqual([failed]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readFileSync(path, 'utf8')).not.toContain('secret');
});

it('rotates by size and keeps five files', async () => {
  for (let n = 0; n < 60; n += 1) {
    audit.record(entry({ requestId: `r${n}` }));
    await audit.written();
  }
  const files = readdirSync(folder).toSorted();
  expect(files).toEqual(['audit.log', 'audit.log.1', 'audit.log.2', 'audit.log.3', 'audit.log.4']);
  for (const file of files) expect(statSync(join(folder, file)).size).toBeLessThan(1_300);
  const kept = (await newestEntries(path, 1_000)) as AuditEntry[];
  const first = 60 - kept.length;
  expect(kept.map(({ requestId }) => requestId)).toEqual(kept.map((_, n) => `r${first + n}`));
});

it('a flood of refusals is counted, and does not hide changes', async () => {
  for (let n = 0; n < 100; n += 1) audit.record(entry({ outcome: 'denied' }));
  audit.record(entry());
  nowMs += 1_000;
  audit.record(entry({ outcome: 'denied', requestId: 'later' }));
  await audit.written();
  const entries = (await newestEntries(path, 1_000)) as (AuditEntry & { notListed?: number })[];
  expect(entries.map(({ outcome }) => outcome).filter((outcome) => outcome === 'denied')).toHaveLength(22);
  expect(entries.find(({ notListed }) => notListed !== undefined)).toMatchObject({ notListed: 80 });
  expect(entries.at(-1)).toMatchObject({ requestId: 'later' });
});

it('what cannot be written is counted, said once, and told when it can be written again', async () => {
  // A folder where the oldest file should go: rotating fails.
  audit.record(entry({ resource: 'x'.repeat(1_200) }));
  await audit.written();
  for (let age = 1; age < 5; age += 1)
    mkdirSync(join(folder, `audit.log.${age}`, 'in-the-way'), { recursive: true });
  audit.record(entry());
  await audit.written();
  audit.record(entry());
  await audit.written();
  expect(errors).toEqual(['the audit log cannot be written']);
  for (let age = 1; age < 5; age += 1) rmSync(join(folder, `audit.log.${age}`), { recursive: true });
  audit.record(entry({ requestId: 'again' }));
  await audit.written();
  expect(await newestEntries(path, 2)).toMatchObject([{ notListed: 2 }, { requestId: 'again' }]);
});

it('says what keeps it from being opened', async () => {
  await expect(AuditLog.open(folder, { clock, log })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/audit log .* cannot be opened: EISDIR.*; move away/) as unknown,
  });
});

it('goes on in the file of the last start, behind a torn line, too', async () => {
  audit.record(entry());
  await audit.close();
  appendFileSync(path, '{"time":"2026');
  const again = await AuditLog.open(path, { clock, log });
  again.record(entry({ requestId: 'second' }));
  await again.close();
  expect(await newestEntries(path, 5)).toMatchObject([{ requestId: 'r' }, { requestId: 'second' }]);
  audit = await AuditLog.open(path, { clock, log });
});
