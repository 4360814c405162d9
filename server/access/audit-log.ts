// The audit log: who changed what, and whom it was refused; JSON lines in a file of the data folder that only its owner
// reads. A line is written as soon as the disk takes it and synced a second later; no request waits for it.
import { open, rename } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { TributaryError } from '../../stream/errors.ts';
import type { Clock, Log } from '../../stream/ports.ts';

export interface AuditEntry {
  readonly requestId: string;
  readonly sourceAddress: string;
  /** ARN; absent: the signature was refused, nobody knows. */
  readonly user?: string;
  readonly accessKeyId?: string;
  /** Like `kinesis:CreateStream`. */
  readonly action: string;
  /** An ARN, or `*`. */
  readonly resource: string;
  readonly outcome: 'ok' | 'denied' | 'failed';
  /** The name of the error. Never its text, which may quote a request. */
  readonly error?: string;
}

export interface AuditOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** For tests. */
  readonly fileBytesMax?: number;
}

const FILE_BYTES_MAX = 10 * 1024 * 1024;
/** `audit.log` and `audit.log.1` … `.4`, the oldest. */
export const AUDIT_FILES_MAX = 5;
/** Waiting for the disk; beyond it they are counted. */
const PENDING_MAX = 10_000;
/** A flood of refused requests neither fills the disk nor hides the rest. */
const DENIED_PER_SECOND_MAX = 20;
const SYNC_MS = 1_000;
const TEXT_CHARS_MAX = 2_048;

export class AuditLog {
  readonly #path: string;
  readonly #options: AuditOptions;
  #file: FileHandle;
  #bytes: number;
  #pending: string[] = [];
  #writing: Promise<void> | null = null;
  /** The file ends in the middle of a line. */
  #isTorn: boolean;
  #isDirty = false;
  #isFailing = false;
  /** Entries that did not fit or could not be written. */
  #lost = 0;
  #deniedSecond = 0;
  #denied = 0;
  readonly #timer: NodeJS.Timeout;

  private constructor(path: string, file: FileHandle, bytes: number, isTorn: boolean, options: AuditOptions) {
    this.#path = path;
    this.#file = file;
    this.#bytes = bytes;
    this.#isTorn = isTorn;
    this.#options = options;
    this.#timer = setInterval(() => void this.#sync(), SYNC_MS);
    this.#timer.unref();
  }

  /** Throws CONFIG_INVALID. */
  static async open(path: string, options: AuditOptions): Promise<AuditLog> {
    try {
      const file = await open(path, 'a+', 0o600);
      return new AuditLog(path, file, (await file.stat()).size, await isTorn(file), options);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const text = `the audit log ${path} cannot be opened: ${reason}; move away what is there, or give the program the right to it`;
      throw new TributaryError('CONFIG_INVALID', text, { cause });
    }
  }

  record(entry: AuditEntry): void {
    if (entry.outcome === 'denied' && !this.#mayRecordDenied()) return;
    this.#add({ ...entry, action: clipped(entry.action), resource: clipped(entry.resource) });
  }

  /** Records how `run` ended. */
  async around<T>(entry: Omit<AuditEntry, 'outcome' | 'error'>, run: () => Promise<T>): Promise<T> {
    try {
      const result = await run();
      this.record({ ...entry, outcome: 'ok' });
      return result;
    } catch (error) {
      this.record({ ...entry, outcome: 'failed', error: nameOf(error) });
      throw error;
    }
  }

  /** When everything recorded so far has been given to the file, or lost. */
  async written(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#reportDenied();
    await this.written();
    await this.#sync();
    await this.#file.close();
  }

  #mayRecordDenied(): boolean {
    const second = Math.floor(this.#options.clock.wallMs() / 1000);
    if (second !== this.#deniedSecond) this.#reportDenied();
    this.#deniedSecond = second;
    this.#denied += 1;
    return this.#denied <= DENIED_PER_SECOND_MAX;
  }

  #reportDenied(): void {
    const count = this.#denied - DENIED_PER_SECOND_MAX;
    this.#denied = 0;
    if (count > 0) this.#add({ action: 'tributary:AuditLog', outcome: 'denied', notListed: count });
  }

  #add(entry: object): void {
    if (this.#pending.length >= PENDING_MAX) {
      this.#lost += 1;
      return;
    }
    const time = new Date(this.#options.clock.wallMs()).toISOString();
    this.#pending.push(`${JSON.stringify({ time, ...entry })}\n`);
    this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    // What comes in the same turn goes in the same write.
    await Promise.resolve();
    while (this.#pending.length > 0) {
      const lines = this.#pending;
      this.#pending = [];
      await this.#append(lines);
    }
    this.#writing = null;
  }

  async #append(lines: readonly string[]): Promise<void> {
    try {
      if (this.#bytes > (this.#options.fileBytesMax ?? FILE_BYTES_MAX)) await this.#rotate();
      const text = (this.#isTorn ? '\n' : '') + this.#lostLine() + lines.join('');
      // A write that fails may have written half of it.
      this.#isTorn = true;
      await this.#file.appendFile(text);
      this.#isTorn = false;
      this.#bytes += Buffer.byteLength(text);
      this.#lost = 0;
      this.#isDirty = true;
      this.#isFailing = false;
    } catch (error) {
      this.#lost += lines.length;
      if (!this.#isFailing)
        this.#options.log.error('the audit log cannot be written', {
          path: this.#path,
          reason: error instanceof Error ? error.message : String(error),
        });
      this.#isFailing = true;
    }
  }

  #lostLine(): string {
    if (this.#lost === 0) return '';
    const time = new Date(this.#options.clock.wallMs()).toISOString();
    const entry = { time, action: 'tributary:AuditLog', outcome: 'failed', notListed: this.#lost };
    return `${JSON.stringify(entry)}\n`;
  }

  async #rotate(): Promise<void> {
    for (let age = AUDIT_FILES_MAX - 1; age > 0; age -= 1)
      await rename(auditFile(this.#path, age - 1), auditFile(this.#path, age)).catch(ignoreMissing);
    const next = await open(this.#path, 'a', 0o600);
    const old = this.#file;
    this.#file = next;
    this.#bytes = (await next.stat()).size;
    await old.sync();
    await old.close();
  }

  async #sync(): Promise<void> {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    await this.#file.sync().catch(() => {
      this.#isDirty = true;
    });
  }
}

/** A power cut may leave half a line, which would swallow the next one. */
async function isTorn(file: FileHandle): Promise<boolean> {
  const { size } = await file.stat();
  if (size === 0) return false;
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer.toString() !== '\n';
}

/** 0: the one that is written. */
export function auditFile(path: string, age: number): string {
  return age === 0 ? path : `${path}.${age}`;
}

function clipped(text: string): string {
  return text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX)}…` : text;
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'Error';
  for (const member of ['type', 'code'] as const) {
    const value: unknown = (error as { readonly type?: unknown; readonly code?: unknown })[member];
    if (typeof value === 'string') return value;
  }
  return error.name;
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
