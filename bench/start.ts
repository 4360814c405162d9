// From the start of the process to the first signed request that is answered, and the memory of a server that does nothing.
import { launch } from './contender.ts';
import type { Contender, Memory } from './contender.ts';
import { KinesisClient, pause } from './kinesis-client.ts';
import { kinesaliteLevelDb, tributary } from './kinesis-contenders.ts';
import { inRounds } from './measure.ts';
import type { Pace } from './measure.ts';
import { section } from './section.ts';
import type { Section } from './section.ts';
import { fixed, median, rounded } from './statistics.ts';

interface Start {
  readonly readyMs: number;
  /** User and system, until then: what a busy machine distorts least. */
  readonly cpuMs: number;
  readonly idle: Memory;
}

const CONTENDERS = [tributary, kinesaliteLevelDb];
const POLL_MS = 2;
const READY_MS = 30_000;
/** A start leaves garbage behind that is collected soon. */
const SETTLE_MS = 3_000;

/** Ratios are ours over the peer's: below 1 is better. */
export async function startReport(pace: Pace): Promise<Section> {
  const title = 'Start to the first ListStreams, and idle memory';
  const outcomes = await inRounds(title, CONTENDERS, pace.rounds, startOf);
  const results = CONTENDERS.map((contender) => ({
    name: contender.name,
    samples: outcomes.get(contender) ?? [],
  }));
  const columns: readonly ((start: Start) => number)[] = [
    ({ readyMs }) => readyMs,
    ({ cpuMs }) => cpuMs,
    ({ idle }) => idle.anonymousMiB,
    ({ idle }) => idle.residentMiB,
  ];
  const medianOf = (samples: readonly Start[], of: (start: Start) => number): number =>
    median(samples.map(of));
  const ours = results[0]?.samples ?? [];
  const rows = results.map(({ name, samples }) => [
    name,
    ...columns.map((of) => rounded(medianOf(samples, of))),
    ...columns.map((of) => (samples === ours ? '' : fixed(medianOf(ours, of) / medianOf(samples, of), 2))),
  ]);
  const figures = ['ready after ms', 'CPU ms until then', 'RssAnon MiB', 'RSS MiB'];
  const heads = ['contender', ...figures, ...figures.map((head) => `ours ÷ it, ${head}`)];
  return section({ title, heads, rows }, { results });
}

async function startOf(contender: Contender): Promise<Start> {
  const startedMs = performance.now();
  const running = await launch(contender);
  try {
    await answers(running.port, startedMs + READY_MS);
    const readyMs = performance.now() - startedMs;
    const cpuMs = 1_000 * running.cpuSeconds();
    await pause(SETTLE_MS);
    return { readyMs, cpuMs, idle: running.memory() };
  } finally {
    await running.stop();
  }
}

async function answers(port: number, deadlineMs: number): Promise<void> {
  for (;;) {
    try {
      await KinesisClient.with(port, 1, (client) => client.call('ListStreams', {}));
      return;
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      await pause(POLL_MS);
    }
  }
}
