// Interleaved rounds: every contender in every round, so that a busy neighbour hits all of them, and medians.
import { start } from './contender.ts';
import type { Contender, Memory, Running } from './contender.ts';
import { section } from './section.ts';
import type { Section } from './section.ts';
import { fixed, median, rounded } from './statistics.ts';

export interface Sample {
  readonly perSecond: number;
  /** Per second of the contender's CPU: what a shared machine distorts least. */
  readonly perCpuSecond: number;
  readonly memory: Memory;
}

export interface Result {
  readonly name: string;
  readonly durability: string;
  /** Of runs without a failed request; with one a run is void. */
  readonly samples: readonly Sample[];
  /** One for each run that broke, too. */
  readonly failedRequests: number;
}

export interface Done {
  readonly units: number;
  /** Requests that failed: a run with one is void. */
  readonly failed: number;
}

export interface Workload {
  readonly title: string;
  readonly unit: string;
  /** Payload of a unit, where a goal is in bytes. */
  readonly unitBytes?: number;
  readonly contenders: readonly Contender[];
  /** Once for each start. */
  prepare(running: Running): Promise<void>;
  /** Puts load on for about `durationMs`. */
  run(running: Running, durationMs: number): Promise<Done>;
}

export interface Pace {
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
}

const MIB = 1024 ** 2;

export async function measure(workload: Workload, pace: Pace): Promise<Section> {
  const results = await inRounds(workload.title, workload.contenders, pace.rounds, (contender) =>
    sample(workload, contender, pace),
  );
  return report(
    workload,
    [...results].map(([{ name, durability }, outcomes]) => ({
      name,
      durability,
      samples: outcomes.flatMap((one) => one.sample ?? []),
      failedRequests: outcomes.reduce((sum, { failed }) => sum + failed, pace.rounds - outcomes.length),
    })),
  );
}

/** Every contender once in each round. One that breaks has an outcome less: nobody else's figures are lost for it. */
export async function inRounds<T>(
  title: string,
  contenders: readonly Contender[],
  rounds: number,
  once: (contender: Contender) => Promise<T>,
): Promise<Map<Contender, T[]>> {
  const outcomes = new Map<Contender, T[]>(contenders.map((contender) => [contender, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [contender, own] of outcomes) {
      process.stderr.write(`${title}: round ${round + 1}/${rounds}, ${contender.name}\n`);
      try {
        own.push(await once(contender));
      } catch (error) {
        process.stderr.write(
          `${contender.name} broke: ${error instanceof Error ? error.message : String(error)}\n`,
        );
      }
    }
  }
  return outcomes;
}

interface Outcome {
  readonly sample: Sample | null;
  readonly failed: number;
}

async function sample(workload: Workload, contender: Contender, pace: Pace): Promise<Outcome> {
  const running = await start(contender);
  try {
    await workload.prepare(running);
    return await sampleOf(workload, running, pace);
  } finally {
    await running.stop();
  }
}

/** Warm-up, then the run that counts. */
export async function sampleOf(
  { run }: Pick<Workload, 'run'>,
  running: Running,
  pace: Pace,
): Promise<Outcome> {
  const warm = await run(running, pace.warmUpMs);
  const cpuBefore = running.cpuSeconds();
  const startedNs = process.hrtime.bigint();
  const { units, failed } = await run(running, pace.durationMs);
  const seconds = Number(process.hrtime.bigint() - startedNs) / 1e9;
  const cpu = Math.max(0.01, running.cpuSeconds() - cpuBefore);
  const failedInAll = warm.failed + failed;
  if (failedInAll > 0) return { sample: null, failed: failedInAll };
  const memory = running.memory();
  return { sample: { perSecond: units / seconds, perCpuSecond: units / cpu, memory }, failed: 0 };
}

/** Ratios are ours, the first result, over the peer, in this run. */
function report({ title, unit, unitBytes }: Workload, results: readonly Result[]): Section {
  const rate = ({ samples }: Result): number => median(samples.map(({ perSecond }) => perSecond));
  const cpuRate = ({ samples }: Result): number => median(samples.map(({ perCpuSecond }) => perCpuSecond));
  const [ours] = results;
  const rows = results.map((result) => {
    const rates = result.samples.map(({ perSecond }) => perSecond);
    const memory = (of: (memory: Memory) => number): string =>
      rounded(median(result.samples.map((one) => of(one.memory))));
    return [
      result.name,
      result.durability,
      rounded(rate(result)),
      `${rounded(Math.min(...rates))}–${rounded(Math.max(...rates))}`,
      ...(unitBytes === undefined ? [] : [fixed((rate(result) * unitBytes) / MIB, 1)]),
      rounded(cpuRate(result)),
      memory(({ anonymousMiB }) => anonymousMiB),
      memory(({ peakResidentMiB }) => peakResidentMiB),
      String(result.failedRequests),
      ...(ours === undefined || ours === result
        ? ['', '']
        : [fixed(rate(ours) / rate(result), 2), fixed(cpuRate(ours) / cpuRate(result), 2)]),
    ];
  });
  const heads = [
    'contender',
    'acknowledged when',
    `${unit}/s`,
    'spread',
    ...(unitBytes === undefined ? [] : ['MiB/s']),
    'per CPU second',
    'RssAnon MiB',
    'peak RSS MiB',
    'failed requests',
    'ours ÷ it',
    'ours ÷ it per CPU second',
  ];
  return section({ title, heads, rows }, { unit, results });
}
