// One serial port that sends lines: opened again and again while it is missing, read as fast as the disk allows.
// When the spool is full the port is not read, so the kernel's buffer and then flow control hold the sender.
// The first line after the port was opened may be the rest of one: a serial line has no beginning of a transmission, and
// whether the sender was in the middle of a line nobody can tell. It becomes a record like any other (most often it is
// whole, and a profile refuses what is not), and is counted, so that an odd record beside a restart can be explained.
import { setTimeout } from 'node:timers/promises';
import { LineFramer } from '../../devices/line-framer.ts';
import type { Counter, Gauge, MetricsRegistry } from '../../runtime/metrics.ts';
import { TributaryError } from '../../stream/errors.ts';
import type { Clock, Log } from '../../stream/ports.ts';
import { LineSpool } from './line-spool.ts';
import type { LineIntake } from './line-spool.ts';
import { DEFAULT_SERIAL_LIMITS } from './serial-options.ts';
import type { SerialLimits, SerialOptions } from './serial-options.ts';
import { OpenPort, PORT_FIXES, portProblem } from './serial-port.ts';
import type { PortProblem } from './serial-port.ts';

export interface SerialParts {
  readonly intake: LineIntake;
  readonly log: Log;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
}

export interface SerialStatus {
  readonly path: string;
  readonly state: 'opening' | 'open' | PortProblem | 'closed';
  /** Records that became durable since the start. */
  readonly records: number;
  /** Lines read and not durable yet. */
  readonly pendingLines: number;
  /** Lines dropped because they were too long. */
  readonly overflows: number;
  readonly lastLineAtMs: number | null;
}

export class SerialReader {
  readonly #path: string;
  readonly #baudRate: number;
  readonly #limits: SerialLimits;
  readonly #parts: SerialParts;
  readonly #spool: LineSpool;
  readonly #framer: LineFramer;
  readonly #counters: ReturnType<typeof countersOf>;
  readonly #stop = new AbortController();
  #state: SerialStatus['state'] = 'opening';
  #records = 0;
  #isFirstLine = true;
  #lastLineAtMs: number | null = null;
  #port: OpenPort | null = null;
  #loop: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  private constructor(options: SerialOptions, parts: SerialParts) {
    const { path, baudRate, profile } = options;
    this.#path = path;
    this.#baudRate = baudRate;
    this.#limits = { ...DEFAULT_SERIAL_LIMITS, ...options };
    this.#parts = parts;
    this.#framer = new LineFramer(this.#limits.lineBytesMax);
    this.#counters = countersOf(parts.metrics);
    const origin = { source: { kind: 'serial' as const, name: path }, profile };
    this.#spool = new LineSpool(parts.intake, origin, this.#limits, {
      durable: (records) => this.#durable(records),
      failed: (error, attempt) => this.#appendFailed(error, attempt),
      recovered: (attempts) => parts.log.notice('append recovered', { path, attempts }),
    });
  }

  /** A port that is missing is no error: it is looked for until it comes. Throws CONFIG_INVALID for the profile. */
  static async open(options: SerialOptions, parts: SerialParts): Promise<SerialReader> {
    const { path, profile } = options;
    if (!parts.intake.hasProfile(profile)) {
      throw new TributaryError(
        'CONFIG_INVALID',
        `serial port ${path} names the profile ${profile}, which is unknown`,
      );
    }
    const reader = new SerialReader(options, parts);
    reader.#loop = reader.#run();
    return reader;
  }

  get status(): SerialStatus {
    return {
      path: this.#path,
      state: this.#state,
      records: this.#records,
      pendingLines: this.#spool.lines,
      overflows: this.#framer.overflows,
      lastLineAtMs: this.#lastLineAtMs,
    };
  }

  /** Stops reading; what was read becomes durable first, within a bounded time. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #run(): Promise<void> {
    const { reconnectMinMs, reconnectMaxMs } = this.#limits;
    let delayMs = reconnectMinMs;
    while (!this.#stop.signal.aborted) {
      const port = await this.#open();
      if (port !== null) {
        delayMs = reconnectMinMs;
        await this.#readToTheEnd(port);
      }
      await setTimeout(delayMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      delayMs = port === null ? Math.min(2 * delayMs, reconnectMaxMs) : reconnectMinMs;
    }
  }

  async #open(): Promise<OpenPort | null> {
    try {
      const port = await OpenPort.open(this.#path, this.#baudRate);
      this.#port = port;
      this.#isFirstLine = true;
      this.#become('open');
      return port;
    } catch (error) {
      this.#become(portProblem(error), error);
      return null;
    }
  }

  async #readToTheEnd(port: OpenPort): Promise<void> {
    const watching = new AbortController();
    const watch = this.#watch(port, watching.signal);
    try {
      await this.#readAll(port);
    } catch (error) {
      this.#become('unplugged', error);
    } finally {
      watching.abort();
      await port.close();
      await watch;
      this.#port = null;
      this.#dropUnfinished();
    }
  }

  async #readAll(port: OpenPort): Promise<void> {
    for (;;) {
      if (this.#stop.signal.aborted) return;
      await this.#spool.whenRoom();
      const chunk = await port.read();
      if (chunk === null) return;
      const overflows = this.#framer.overflows;
      const lines = this.#framer.push(chunk);
      this.#counters.overflows.add(this.#framer.overflows - overflows, { path: this.#path });
      if (lines.length === 0) continue;
      this.#lastLineAtMs = this.#parts.clock.wallMs();
      this.#counters.lines.add(lines.length, { path: this.#path });
      if (this.#isFirstLine) this.#counters.firsts.add(1, { path: this.#path });
      this.#isFirstLine = false;
      this.#spool.push(lines);
    }
  }

  /** The device file is looked at twice in a row: a link may be replaced while udev renames it. */
  async #watch(port: OpenPort, signal: AbortSignal): Promise<void> {
    let missed = 0;
    while (!signal.aborted && missed < 2) {
      await setTimeout(this.#limits.checkMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      missed = (await port.isPresent()) ? 0 : missed + 1;
    }
    if (signal.aborted) return;
    this.#become('unplugged');
    await port.close();
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    await this.#port?.close();
    const lost = await this.#spool.close(this.#limits.closeTimeoutMs);
    await this.#loop;
    if (lost > 0) this.#parts.log.error('lines lost', { path: this.#path, lines: lost });
    this.#counters.lost.add(lost, { path: this.#path });
    this.#become('closed');
  }

  /** One log line per change. */
  #become(state: SerialStatus['state'], error?: unknown): void {
    if (state === this.#state || this.#state === 'closed') return;
    this.#state = state;
    const { log } = this.#parts;
    const path = this.#path;
    this.#counters.isOpen.set(state === 'open' ? 1 : 0, { path });
    this.#counters.changes.add(1, { path, state });
    if (state === 'opening' || state === 'closed') log.info(`port ${state}`, { path });
    else if (state === 'open') log.notice('port open', { path, baudRate: this.#baudRate });
    else
      log.warn(`port ${state.replace('_', ' ')}`, {
        path,
        fix: PORT_FIXES[state],
        ...(error === undefined ? {} : { error }),
      });
  }

  /** What follows a new connection is not the rest of this line. */
  #dropUnfinished(): void {
    const bytes = this.#framer.pendingBytes;
    this.#framer.reset();
    if (bytes === 0) return;
    this.#counters.unfinished.add(1, { path: this.#path });
    this.#parts.log.info('unfinished line dropped', { path: this.#path, bytes });
  }

  #durable(records: number): void {
    this.#records += records;
    this.#counters.records.add(records, { path: this.#path });
  }

  #appendFailed(error: unknown, attempt: number): void {
    this.#counters.retries.add(1, { path: this.#path });
    if (attempt === 1) this.#parts.log.warn('append failed', { path: this.#path, error });
  }
}

interface SerialCounters {
  readonly lines: Counter;
  readonly firsts: Counter;
  readonly records: Counter;
  readonly overflows: Counter;
  readonly unfinished: Counter;
  readonly retries: Counter;
  readonly lost: Counter;
  readonly changes: Counter;
  readonly isOpen: Gauge;
}

function countersOf(metrics: MetricsRegistry): SerialCounters {
  return {
    lines: metrics.counter('serial_lines_total', 'lines read'),
    firsts: metrics.counter(
      'serial_first_lines_total',
      'first lines after a port was opened, each perhaps the rest of a line',
    ),
    records: metrics.counter('serial_records_total', 'records of serial lines that became durable'),
    overflows: metrics.counter('serial_overlong_lines_total', 'lines dropped because they were too long'),
    unfinished: metrics.counter('serial_unfinished_lines_total', 'lines cut by the end of a connection'),
    retries: metrics.counter('serial_append_retries_total', 'appends that failed and were tried again'),
    lost: metrics.counter('serial_lost_lines_total', 'lines that were not durable when the gateway stopped'),
    changes: metrics.counter('serial_state_changes_total', 'changes of a port, by the new state'),
    isOpen: metrics.gauge('serial_open', '1 while the port is open'),
  };
}
