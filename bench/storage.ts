// What a durable append costs on this disk: records a second and bytes given to the disk for each byte of payload, beside
// SQLite (WAL, synchronous=FULL) and a plain file (append, fdatasync). Each contender is a process of its own; see
// storage-contender.ts for what they do.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Pace } from './measure.ts';
import { median, rounded } from './statistics.ts';

export interface AppendSample {
  readonly records: number;
  readonly payloadBytes: number;
  readonly writtenBytes: number;
  readonly seconds: number;
  readonly commitMsP50: number;
  readonly commitMsP99: number;
}

interface Row {
  readonly name: string;
  readonly promise: string;
  readonly contender: string;
  readonly group: number;
  readonly inFlight: number;
}

const CONTENDER = join(import.meta.dirname, 'storage-contender.js');
const DATA_ROOT = join(import.meta.dirname, '../../node_modules/.cache');
const IN_FLIGHT = 16;

const ROWS: readonly Row[] = [100, 1_000].flatMap((group) => [
  row('Tributary', 'on disk (2 flushes)', 'tributary', group, 1),
  row('Tributary', 'on disk (2 flushes)', 'tributary', group, IN_FLIGHT),
  row('better-sqlite3 WAL FULL', 'on disk', 'sqlite', group, 1),
  row('plain file, append + fdatasync', 'on disk', 'file', group, 1),
]);

function row(name: string, promise: string, contender: string, group: number, inFlight: number): Row {
  return { name, promise, contender, group, inFlight };
}

/** Interleaved rounds; a Markdown section. Ratios are ours with as many groups in flight as the row says, over the peer. */
export async function storageReport(pace: Pace): Promise<string> {
  const samples = new Map<Row, AppendSample[]>(ROWS.map((one) => [one, []]));
  for (let round = 0; round < pace.rounds; round += 1) {
    for (const one of ROWS) {
      process.stderr.write(`append: round ${round + 1}/${pace.rounds}, ${labelOf(one)}\n`);
      samples.get(one)?.push(await sampleOf(one, pace.durationMs));
    }
  }
  const heads = ['writer', 'records in a group', 'groups in flight', 'records/s', 'spread', 'p50 / p99 ms'];
  const ends = ['disk bytes ÷ payload', 'ours (1 in flight) ÷ it', `ours (${IN_FLIGHT} in flight) ÷ it`];
  const lines = ROWS.map((one) => cellsOf(one, samples));
  const table = [[...heads, ...ends], [...heads, ...ends].map(() => '---'), ...lines].map(
    (cells) => `| ${cells.join(' | ')} |`,
  );
  const load = loadavg().map((value) => value.toFixed(2));
  return `### Durable append of 200 B records\n\n${table.join('\n')}\n\nLoad average at the end: ${load.join(' ')}.\n`;
}

function cellsOf(one: Row, samples: ReadonlyMap<Row, readonly AppendSample[]>): string[] {
  const own = samples.get(one) ?? [];
  const rates = own.map(rateOf);
  const ratio = (inFlight: number): string => {
    if (one.contender === 'tributary') return '';
    const ours = ROWS.find((other) => other.contender === 'tributary' && isPeer(other, one, inFlight));
    const oursRates = (ours === undefined ? [] : (samples.get(ours) ?? [])).map(rateOf);
    return (median(oursRates) / median(rates)).toFixed(2);
  };
  return [
    one.name,
    String(one.group),
    String(one.inFlight),
    rounded(median(rates)),
    `${rounded(Math.min(...rates))}–${rounded(Math.max(...rates))}`,
    `${median(own.map((s) => s.commitMsP50)).toFixed(1)} / ${median(own.map((s) => s.commitMsP99)).toFixed(1)}`,
    median(own.map((s) => s.writtenBytes / s.payloadBytes)).toFixed(2),
    ratio(1),
    ratio(IN_FLIGHT),
  ];
}

function isPeer(ours: Row, peer: Row, inFlight: number): boolean {
  return ours.group === peer.group && ours.inFlight === inFlight;
}

function rateOf({ records, seconds }: AppendSample): number {
  return records / seconds;
}

function labelOf({ name, group, inFlight }: Row): string {
  return `${name}, groups of ${group}, ${inFlight} in flight`;
}

async function sampleOf({ contender, group, inFlight }: Row, durationMs: number): Promise<AppendSample> {
  const folder = mkdtempSync(join(DATA_ROOT, 'bench-data-'));
  try {
    const parameters = [CONTENDER, contender, folder, String(group), String(inFlight), String(durationMs)];
    const { stdout } = await promisify(execFile)(process.execPath, parameters);
    return JSON.parse(stdout) as AppendSample;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
