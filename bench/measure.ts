// Interleaved rounds: every contender in every round, so that a busy neighbour hits all of them, and medians.
import { loadavg } from 'node:os';
import { start } from './contender.ts';
import type { Contender, Running } from './contender.ts';

export interface Sample {
  readonly perSecond: number;
  /** Per second of the contender's CPU: what a shared machine distorts least. */
  readonly perCpuSecond: number;
  readonly anonymousMiB: number;
}

export interface Result {
  readonly name: string;
  readonly durability: string;
  readonly samples: readonly Sample[];
}

export interface Workload {
  readonly title: string;
  readonly unit: string;
  readonly contenders: readonly Contender[];
  /** Once for each start. */
  prepare(running: Running): Promise<void>;
  /** Puts load on for about `durationMs` and answers how many units were done. Throws on any error: such a run is void. */
  run(running: Running, durationMs: number): Promise<number>;
}

export interface Pace {
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
}

export async function measure(workload: Workload, pace: Pace): Promise<Result[]> {
  const samples = new Map<Contender, Sample[]>(workload.contenders.map((contender) => [contender, []]));
  for (let round = 0; round < pace.rounds; round += 1) {
    for (const contender of workload.contenders) {
      process.stderr.write(`${workload.title}: round ${round + 1}/${pace.rounds}, ${contender.name}\n`);
      samples.get(contender)?.push(await sample(workload, contender, pace));
    }
  }
  return workload.contenders.map((contender) => ({
    name: contender.name,
    durability: contender.durability,
    samples: samples.get(contender) ?? [],
  }));
}

async function sample(workload: Workload, contender: Contender, pace: Pace): Promise<Sample> {
  const running = await start(contender);
  try {
    await workload.prepare(running);
    await workload.run(running, pace.warmUpMs);
    const cpuBefore = running.cpuSeconds();
    const startedNs = process.hrtime.bigint();
    const units = await workload.run(running, pace.durationMs);
    const seconds = Number(process.hrtime.bigint() - startedNs) / 1e9;
    const cpu = Math.max(0.01, running.cpuSeconds() - cpuBefore);
    return { perSecond: units / seconds, perCpuSecond: units / cpu, anonymousMiB: running.anonymousMiB() };
  } finally {
    await running.stop();
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** A Markdown table; ratios are ours over the peer, in this run. */
export function report(workload: Workload, results: readonly Result[]): string {
  const ours = results[0];
  const rows = results.map((result) => {
    const rates = result.samples.map(({ perSecond }) => perSecond);
    const ratio = ours === undefined ? 1 : median(ours.samples.map((s) => s.perSecond)) / median(rates);
    return [
      result.name,
      result.durability,
      rounded(median(rates)),
      `${rounded(Math.min(...rates))}–${rounded(Math.max(...rates))}`,
      rounded(median(result.samples.map((one) => one.perCpuSecond))),
      rounded(median(result.samples.map((one) => one.anonymousMiB))),
      result === ours ? '' : ratio.toFixed(2),
    ];
  });
  const heads = [
    'contender',
    'acknowledged when',
    `${workload.unit}/s`,
    'spread',
    'per CPU second',
    'RssAnon MiB',
    'ours ÷ it',
  ];
  const lines = [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  const load = loadavg()
    .map((value) => value.toFixed(2))
    .join(' ');
  return `### ${workload.title}\n\n${lines.join('\n')}\n\nLoad average at the end: ${load}.\n`;
}

export function rounded(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
