// What the log writes to the disk for each byte of payload, and what reading it back costs. Each figure is of a process of
// its own; see wear-contender.ts for what they do. Bytes do not depend on the load of the machine, rates do.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Pace } from './measure.ts';
import { median, rounded } from './statistics.ts';

export interface WearSample {
  readonly payloadBytes: number;
  readonly writtenBytes: number;
  readonly seconds: number;
  /** From the append to the acknowledgement. */
  readonly acknowledgedMsP50: number;
  readonly acknowledgedMsP99: number;
}

export interface ScanSample {
  readonly recordsPerSecond: number;
  /** Copying every record out of its block, and nothing else. */
  readonly copiesPerSecond: number;
}

const CONTENDER = join(import.meta.dirname, 'wear-contender.js');
const DATA_ROOT = join(import.meta.dirname, '../../node_modules/.cache');
const DAY_SECONDS = 86_400;
/** Long enough for the linger to settle. */
const PACED_MS = 60_000;

const COMMITS = [
  ['commits of 64 KiB', 'commit', 64],
  ['commits of 256 KiB', 'commit', 256],
  ['a full ring of 64 MiB being trimmed, commits of 64 KiB', 'ring', 64],
  ['the same, commits of 256 KiB', 'ring', 256],
] as const;

export async function wearReport(pace: Pace): Promise<string> {
  const lines: string[] = [];
  for (const [name, mode, kib] of COMMITS) {
    const cells = await Promise.all(
      (['none', 'auto'] as const).map(async (compression) => {
        const samples: WearSample[] = [];
        for (let round = 0; round < pace.rounds; round += 1)
          samples.push(await child<WearSample>(mode, String(kib), compression, String(pace.durationMs)));
        return median(samples.map((one) => one.writtenBytes / one.payloadBytes)).toFixed(2);
      }),
    );
    lines.push(`| ${name} | ${cells.join(' | ')} |`);
  }
  const paced = await child<WearSample>('paced', '10', 'auto', String(PACED_MS));
  const perDay = (paced.writtenBytes / paced.seconds) * DAY_SECONDS;
  const scans: ScanSample[] = [];
  for (let round = 0; round < pace.rounds; round += 1)
    scans.push(await child<ScanSample>('scan', '200', 'none', String(pace.durationMs)));
  const scan = median(scans.map((one) => one.recordsPerSecond));
  const copies = median(scans.map((one) => one.copiesPerSecond));
  const load = loadavg().map((value) => value.toFixed(2));
  return `### Bytes given to the disk for each byte of payload

JSON telemetry of 200 B records, as stored and with the default compression. Counted are the pages that the store gave to
the disk, and 12 KB for each commit: its root page and what ext4 adds. (The kernel counts whole folios of a file that is
overwritten, so its figure for a process is too high for a ring.)

| load | none | deflate |
| --- | --- | --- |
${lines.join('\n')}

10 messages a second of 200 B with the daily budget of 4 GB spent: ${(perDay / 1e9).toFixed(2)} GB a day, acknowledged after
p50 ${rounded(paced.acknowledgedMsP50)} ms, p99 ${rounded(paced.acknowledgedMsP99)} ms.

### Sequential scan of 200 B records

${rounded(scan)} records/s on one core; ${(scan / copies).toFixed(2)} of what copying every record out of its block reaches
(${rounded(copies)}/s).

Load average at the end: ${load.join(' ')}.
`;
}

async function child<T>(...parameters: readonly string[]): Promise<T> {
  process.stderr.write(`wear: ${parameters.join(' ')}\n`);
  const folder = mkdtempSync(join(DATA_ROOT, 'bench-data-'));
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [CONTENDER, folder, ...parameters]);
    return JSON.parse(stdout) as T;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
