// Lines between a serial port and the disk: appended in order, tried again until they are durable, bounded in memory.
// A sensor does not send twice, so nothing that was read is ever given up while the gateway runs.
import { setTimeout } from 'node:timers/promises';
import type { Intake, IntakeOrigin, PreparedAppend } from '../intake.ts';
import { laneKeyOf } from '../lane-row.ts';

/** What this folder needs of the intake. */
export type LineIntake = Pick<Intake, 'prepare' | 'append' | 'hasProfile'>;

export interface SpoolLimits {
  readonly pendingLinesMax: number;
  readonly pendingBytesMax: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

export interface SpoolEvents {
  readonly durable: (records: number) => void;
  /** The first failure of an append, and those after it. */
  readonly failed: (error: unknown, attempt: number) => void;
  /** After failures. */
  readonly recovered: (attempts: number) => void;
}

interface Batch {
  readonly append: PreparedAppend;
  readonly lines: number;
  readonly bytes: number;
}

/** One append: far below a block's maximum of records and what may wait in the log. */
const BATCH_LINES_MAX = 4_096;
const BATCH_BYTES_MAX = 512 * 1024;

export class LineSpool {
  readonly #intake: LineIntake;
  readonly #origin: IntakeOrigin;
  readonly #limits: SpoolLimits;
  readonly #events: SpoolEvents;
  readonly #stop = new AbortController();
  #waiting: Batch[] = [];
  #lines = 0;
  #bytes = 0;
  #work: Promise<void> | null = null;
  #roomWaiters: (() => void)[] = [];

  constructor(intake: LineIntake, origin: IntakeOrigin, limits: SpoolLimits, events: SpoolEvents) {
    this.#intake = intake;
    this.#origin = origin;
    this.#limits = limits;
    this.#events = events;
  }

  /** Lines that are not durable. */
  get lines(): number {
    return this.#lines;
  }

  get isFull(): boolean {
    return this.#lines >= this.#limits.pendingLinesMax || this.#bytes >= this.#limits.pendingBytesMax;
  }

  push(lines: readonly Uint8Array[]): void {
    for (const line of lines) {
      const append = this.#intake.prepare(this.#origin, line);
      this.#waiting.push({ append, lines: 1, bytes: line.length });
      this.#lines += 1;
      this.#bytes += line.length;
    }
    this.#work ??= this.#run();
  }

  /** Resolves once half of the room is free, or the spool is stopped. */
  async whenRoom(): Promise<void> {
    if (!this.isFull || this.#stop.signal.aborted) return;
    await new Promise<void>((resolve) => this.#roomWaiters.push(resolve));
  }

  /** Resolves with the lines that did not become durable in time. */
  async close(timeoutMs: number): Promise<number> {
    const late = new AbortController();
    const deadline = setTimeout(timeoutMs, undefined, { signal: late.signal, ref: false }).then(
      () => this.#stop.abort(),
      () => undefined,
    );
    while (this.#work !== null && !this.#stop.signal.aborted) await Promise.race([this.#work, deadline]);
    late.abort();
    this.#stop.abort();
    this.#wake();
    return this.#lines;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#stop.signal.aborted) {
      const taken = this.#take();
      for (const batch of inLanes(taken)) {
        if (!(await this.#untilDurable(batch))) return;
      }
    }
    this.#work = null;
  }

  /** The next lines, in order. */
  #take(): Batch[] {
    let bytes = 0;
    let count = 0;
    for (const batch of this.#waiting) {
      if (count > 0 && (count >= BATCH_LINES_MAX || bytes + batch.bytes > BATCH_BYTES_MAX)) break;
      bytes += batch.bytes;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  /** False when the spool was stopped before. */
  async #untilDurable({ append, lines, bytes }: Batch): Promise<boolean> {
    let delayMs = this.#limits.retryMinMs;
    for (let attempt = 1; !this.#stop.signal.aborted; attempt += 1) {
      try {
        await this.#intake.append(append);
        if (attempt > 1) this.#events.recovered(attempt);
        this.#done(append.records.length, lines, bytes);
        return true;
      } catch (error) {
        this.#events.failed(error, attempt);
      }
      await setTimeout(delayMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      delayMs = Math.min(2 * delayMs, this.#limits.retryMaxMs);
    }
    return false;
  }

  #done(records: number, lines: number, bytes: number): void {
    this.#lines -= lines;
    this.#bytes -= bytes;
    this.#events.durable(records);
    const { pendingLinesMax, pendingBytesMax } = this.#limits;
    if (this.#lines <= pendingLinesMax / 2 && this.#bytes <= pendingBytesMax / 2) this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#roomWaiters.splice(0)) resolve();
  }
}

/** One append per lane: the order within a lane is that of the lines. */
function inLanes(batches: readonly Batch[]): Batch[] {
  const byLane = new Map<string, Batch[]>();
  for (const batch of batches) {
    const key = laneKeyOf(batch.append.lane);
    const known = byLane.get(key);
    if (known === undefined) byLane.set(key, [batch]);
    else known.push(batch);
  }
  return [...byLane.values()].flatMap((group) => {
    const first = group[0];
    if (first === undefined) return [];
    const records = group.flatMap(({ append }) => append.records);
    const lines = group.reduce((sum, batch) => sum + batch.lines, 0);
    const bytes = group.reduce((sum, batch) => sum + batch.bytes, 0);
    return [{ append: { ...first.append, records }, lines, bytes }];
  });
}
