// How long a gateway with a large log takes until it is ready, with the look at its store before it is opened, and how much
// memory it has then, beside a gateway with an empty log. OPEN_GIB sets the size, default 1; the goal speaks of 10.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import type { Pace } from './measure.ts';
import { median, rounded } from './statistics.ts';

interface Start {
  readonly readyMs: number;
  readonly anonymousMiB: number;
}

const MAIN = join(import.meta.dirname, '../program/main.js');
const FILLER = join(import.meta.dirname, 'open-filler.js');
const DATA_ROOT = join(import.meta.dirname, '../../node_modules/.cache');
const CONFIG = 'gateway.yaml';
const GIB = Number(process.env['OPEN_GIB'] ?? 1);
/** A start leaves garbage behind that is collected soon. */
const SETTLE_MS = 3_000;

export async function openReport(pace: Pace): Promise<string> {
  const folder = mkdtempSync(join(DATA_ROOT, 'bench-data-'));
  try {
    // A log beyond its cap would be evicted from at once.
    writeFileSync(join(folder, CONFIG), 'log: { capBytes: 1000000000000 }\n');
    const data = join(folder, 'gateway');
    const empty = await starts(data, pace.rounds);
    process.stderr.write(`open: filling ${GIB} GiB\n`);
    execFileSync(process.execPath, [FILLER, data, String(GIB)], { stdio: 'inherit' });
    const bytes = statSync(join(data, 'gateway.mdb')).size;
    const filled = await starts(data, pace.rounds);
    const load = loadavg().map((value) => value.toFixed(2));
    return `### Starting a gateway on a large log

| log | ready after ms | RssAnon MiB |
| --- | --- | --- |
${row('empty', empty)}
${row(`${(bytes / 1024 ** 3).toFixed(1)} GiB that no server has, killed before`, filled)}

Load average at the end: ${load.join(' ')}.
`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function row(name: string, samples: readonly Start[]): string {
  const ready = rounded(median(samples.map(({ readyMs }) => readyMs)));
  return `| ${name} | ${ready} | ${rounded(median(samples.map(({ anonymousMiB }) => anonymousMiB)))} |`;
}

async function starts(data: string, rounds: number): Promise<Start[]> {
  const samples: Start[] = [];
  for (let round = 0; round < rounds; round += 1) samples.push(await start(data));
  return samples;
}

async function start(data: string): Promise<Start> {
  const startedMs = performance.now();
  const settings = ['--config', join(data, '..', CONFIG), '--mqtt-port', '0', '--status-port', '0'];
  const child = spawn(process.execPath, [MAIN, 'gateway', '--data', data, ...settings], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, TRIBUTARY_GATEWAY_LOG_LEVEL: 'error' },
  });
  await once(child.stdout, 'data');
  const readyMs = performance.now() - startedMs;
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const kib = /RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
  // Killed: the next start finds it as after a power cut.
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  return { readyMs, anonymousMiB: Number(kib ?? 0) / 1024 };
}
