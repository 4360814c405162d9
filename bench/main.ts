// `npm run bench`: every figure as a ratio to a named peer in the same run. Options: --rounds N, --seconds N, and the
// names of workloads (append, wear, open, mqtt, put, get; default all). `--write` keeps the report in docs/BENCHMARKS.md.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isThere } from './contender.ts';
import { getRecordsWorkload, putRecordsWorkload } from './kinesis.ts';
import { measure, report } from './measure.ts';
import type { Pace, Workload } from './measure.ts';
import { mqttWorkload } from './mqtt.ts';
import { openReport } from './open.ts';
import { storageReport } from './storage.ts';
import { wearReport } from './wear.ts';

const REPORTS = {
  append: storageReport,
  wear: wearReport,
  open: openReport,
  mqtt: reportOf(mqttWorkload),
  put: reportOf(putRecordsWorkload),
  get: reportOf(getRecordsWorkload),
};
const ROOT = join(import.meta.dirname, '../..');
const PEER_PACKAGES = ['kinesalite@3.3.3', 'kinesis-local@0.6.2', 'better-sqlite3@12.11.1'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    write: { type: 'boolean', default: false },
  },
});
const pace = { rounds: Number(values.rounds), durationMs: 1000 * Number(values.seconds), warmUpMs: 2000 };
const names = (positionals.length === 0 ? Object.keys(REPORTS) : positionals) as (keyof typeof REPORTS)[];

installPeers();
if (isThere('taskset')) execFileSync('taskset', ['-pc', '1', String(process.pid)], { stdio: 'ignore' });
const sections = [heading()];
for (const name of names) {
  sections.push(await REPORTS[name](pace));
  // After each: a run takes minutes, and what is measured should not be lost.
  if (values.write) keep(sections);
}
process.stdout.write(sections.join('\n'));
process.exit(0);

/** Sections of workloads that were not run stay as they are. */
function keep([head = '', ...fresh]: readonly string[]): void {
  const path = join(ROOT, 'docs/BENCHMARKS.md');
  const known = existsSync(path) ? sectionsOf(readFileSync(path, 'utf8')) : new Map<string, string>();
  for (const [title, text] of sectionsOf(fresh.join('\n'))) known.set(title, text);
  writeFileSync(
    path,
    [head.trimEnd(), ...[...known.values()].map((text) => text.trimEnd()), ''].join('\n\n'),
  );
}

/** By their titles. */
function sectionsOf(document: string): Map<string, string> {
  const parts = document.split(/^(?=### )/m).filter((text) => text.startsWith('### '));
  return new Map(parts.map((text) => [text.split('\n')[0] ?? '', text]));
}

function reportOf(workload: Workload): (pace: Pace) => Promise<string> {
  return async (one) => report(workload, await measure(workload, one));
}

function heading(): string {
  const model = cpus()[0]?.model ?? 'unknown';
  return `# Benchmarks

Made by \`npm run bench -- --write\`. Every contender runs in every round, programs on core 0 and their load, like the
writers that are processes of their own, on core 1; medians of
${pace.rounds} rounds of ${pace.durationMs / 1000} s. Every request of ours is signed and verified. A loss is printed like a gain.

Machine: ${cpus().length} cores (${model}), Linux ${release()}, Node ${process.version}; load average at the start: ${loadavg()
    .map((value) => value.toFixed(2))
    .join(' ')}.
`;
}

/** Peers are measured, not depended on: they stay out of package.json. */
function installPeers(): void {
  const folder = join(ROOT, 'node_modules/.cache/bench');
  const isInstalled = PEER_PACKAGES.every((name) =>
    existsSync(join(folder, 'node_modules', name.slice(0, name.lastIndexOf('@')))),
  );
  if (isInstalled) return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', ...PEER_PACKAGES], {
    cwd: folder,
    stdio: 'inherit',
  });
}
