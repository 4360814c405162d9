// `npm run bench`: every figure as a ratio to a named peer in the same run. Options: --rounds N, --seconds N, and the
// names of REPORTS (default all). `--write` keeps the report in docs/BENCHMARKS.md, `--json` prints the samples instead.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isThere } from './contender.ts';
import { getWorkload, put1kWorkload, putOneWorkload, putWorkload } from './kinesis.ts';
import { measure } from './measure.ts';
import type { Pace, Workload } from './measure.ts';
import { mqttWorkload } from './mqtt.ts';
import { openReport } from './open.ts';
import { pushLatencyReport } from './push-latency.ts';
import type { Section } from './section.ts';
import { shardsReport } from './shards.ts';
import { startReport } from './start.ts';
import { storageReport } from './storage.ts';
import { wearReport } from './wear.ts';

const REPORTS = {
  append: textOf(storageReport),
  wear: textOf(wearReport),
  open: textOf(openReport),
  mqtt: rateOf(mqttWorkload),
  put: rateOf(putWorkload),
  put1k: rateOf(put1kWorkload),
  putone: rateOf(putOneWorkload),
  get: rateOf(getWorkload),
  subscribe: pushLatencyReport,
  shards: shardsReport,
  start: startReport,
};
const ROOT = join(import.meta.dirname, '../..');
const PEER_PACKAGES = ['kinesalite@3.3.3', 'kinesis-local@0.6.2', 'better-sqlite3@12.11.1'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    write: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const pace = { rounds: Number(values.rounds), durationMs: 1000 * Number(values.seconds), warmUpMs: 2000 };
const unknown = positionals.filter((name) => !Object.hasOwn(REPORTS, name));
if (unknown.length > 0) {
  process.stderr.write(`no workload ${unknown.join(', ')}; there are ${Object.keys(REPORTS).join(', ')}\n`);
  process.exit(2);
}
const names = (positionals.length === 0 ? Object.keys(REPORTS) : positionals) as (keyof typeof REPORTS)[];

installPeers();
if (isThere('taskset')) execFileSync('taskset', ['-pc', '1', String(process.pid)], { stdio: 'ignore' });
const machine = {
  cores: cpus().length,
  model: cpus()[0]?.model ?? 'unknown',
  kernel: release(),
  node: process.version,
  loadAverage: loadavg(),
};
/** Sections of one document may come from different runs. */
const paceLine = `${pace.rounds} rounds of ${pace.durationMs / 1000} s.`;
const sections: Section[] = [];
for (const name of names) {
  const { markdown, figures } = await REPORTS[name](pace);
  sections.push({ markdown: `${markdown.trimEnd()}\n\n${paceLine}\n`, figures });
  // After each: a run takes minutes, and what is measured should not be lost.
  if (values.write) keep(sections.map(({ markdown }) => markdown));
}
const figures = sections.map((one, index) => [names[index], one.figures]);
process.stdout.write(
  values.json
    ? `${JSON.stringify({ machine, pace, workloads: Object.fromEntries(figures) }, null, 2)}\n`
    : [heading(), ...sections.map(({ markdown }) => markdown)].join('\n'),
);
process.exit(0);

/** Sections of workloads that were not run stay as they are. */
function keep(fresh: readonly string[]): void {
  const path = join(ROOT, 'docs/BENCHMARKS.md');
  const known = existsSync(path) ? sectionsOf(readFileSync(path, 'utf8')) : new Map<string, string>();
  for (const [title, text] of sectionsOf(fresh.join('\n'))) known.set(title, text);
  writeFileSync(
    path,
    [heading().trimEnd(), ...[...known.values()].map((text) => text.trimEnd()), ''].join('\n\n'),
  );
}

/** By their titles. */
function sectionsOf(document: string): Map<string, string> {
  const parts = document.split(/^(?=### )/m).filter((text) => text.startsWith('### '));
  return new Map(parts.map((text) => [text.split('\n')[0] ?? '', text]));
}

function rateOf(workload: Workload): (pace: Pace) => Promise<Section> {
  return (one) => measure(workload, one);
}

/** Reports of several tables have their text as figures. */
function textOf(report: (pace: Pace) => Promise<string>): (pace: Pace) => Promise<Section> {
  return async (one) => {
    const markdown = await report(one);
    return { markdown, figures: { markdown } };
  };
}

function heading(): string {
  return `# Benchmarks

Made by \`npm run bench -- --write\`. Every contender runs in every round, programs on core 0 and their load, like the
writers that are processes of their own, on core 1; figures are medians. Every request of ours is signed and verified. A loss is printed like a gain.

Machine: ${machine.cores} cores (${machine.model}), Linux ${machine.kernel}, Node ${machine.node}.
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
