// A program's run as its disk saw it: what was written, cut and synced, which names came and went, and what the program
// said meanwhile. Read once from the trace, played as often as a test likes.
import { basename, dirname, resolve } from 'node:path';
import { buffersOf, descriptorOf, lastNumberOf, readTrace } from './trace.ts';
import type { Call, TraceEvent } from './trace.ts';

/** Descriptors are numbers as the kernel gives them; `id` joins begin and end of a call. */
export type DiskEvent =
  | { readonly kind: 'open'; readonly fd: number; readonly name: string; readonly isSynced: boolean }
  | {
      readonly kind: 'write';
      readonly id: number;
      readonly fd: number;
      readonly at: number;
      readonly bytes: Buffer;
    }
  | { readonly kind: 'truncate'; readonly id: number; readonly fd: number; readonly bytes: number }
  | { readonly kind: 'sync'; readonly id: number; readonly fd: number }
  | { readonly kind: 'end'; readonly id: number; readonly isSkipped: boolean }
  | { readonly kind: 'link'; readonly from: string; readonly to: string }
  | { readonly kind: 'unlink'; readonly name: string }
  | { readonly kind: 'say'; readonly text: string };

/** The name of the folder itself. */
export const FOLDER = '.';

/** What is said by a write to something outside of the folder; null: nothing. */
export type Listen = (path: string, bytes: Buffer) => string | null;

/** What is written to the file is said as it is. */
export function listenTo(file: string): Listen {
  return (path, bytes) => (path === file ? bytes.toString() : null);
}

/** `folder` is what lies on the disk, without folders in it. */
export async function readRecording(trace: string, folder: string, listen: Listen): Promise<DiskEvent[]> {
  const reader = new Reader(folder, listen);
  for await (const event of readTrace(trace)) reader.take(event);
  return reader.events;
}

class Reader {
  readonly events: DiskEvent[] = [];
  readonly #folder: string;
  readonly #listen: Listen;
  readonly #offsets = new Map<number, number>();
  readonly #known = new Set<number>();
  readonly #begun = new Set<number>();

  constructor(folder: string, listen: Listen) {
    this.#folder = folder;
    this.#listen = listen;
  }

  take(event: TraceEvent): void {
    if (event.kind === 'begin') this.#begin(event.id, event.call);
    else this.#end(event);
  }

  #begin(id: number, { name, parameters }: Call): void {
    const descriptor = descriptorOf(parameters);
    if (descriptor === null) return;
    const fd = descriptor.number;
    // Descriptors of sockets and pipes are given numbers that files had before.
    if (this.#nameOf(descriptor.path) === null) return this.#hear(name, descriptor.path, parameters);
    if (!this.#known.has(fd)) return;
    const change = this.#changeOf(name, fd, parameters);
    if (change === null) return;
    this.#begun.add(id);
    this.events.push({ id, ...change });
  }

  #hear(call: string, path: string, parameters: string): void {
    if (call !== 'write' && call !== 'writev') return;
    const text = this.#listen(path, bytesOf(parameters));
    if (text !== null) this.events.push({ kind: 'say', text });
  }

  #changeOf(name: string, fd: number, parameters: string): Change | null {
    switch (name) {
      case 'write':
      case 'writev': {
        const [at, bytes] = [this.#offsets.get(fd) ?? 0, bytesOf(parameters)];
        this.#offsets.set(fd, at + bytes.length);
        return { kind: 'write', fd, at, bytes };
      }
      case 'pwrite64':
      case 'pwritev':
        return { kind: 'write', fd, at: lastNumberOf(parameters), bytes: bytesOf(parameters) };
      case 'ftruncate':
        return { kind: 'truncate', fd, bytes: lastNumberOf(parameters) };
      case 'fdatasync':
      case 'fsync':
        return { kind: 'sync', fd };
      case 'lseek':
        return null;
      default:
        throw new Error(`the model of the disk knows no ${name}`);
    }
  }

  #end(event: TraceEvent & { kind: 'end' }): void {
    const { id, call, result, isInjected } = event;
    if (this.#begun.delete(id)) {
      const written = call.name.includes('write') ? bytesOf(call.parameters).length : 0;
      if (result < written) throw new Error(`a ${call.name} of the trace was cut short`);
      this.events.push({ kind: 'end', id, isSkipped: isInjected });
    } else if (result >= 0) this.#settled(call, result);
  }

  #settled({ name, parameters }: Call, result: number): void {
    if (name === 'openat') this.#opened(parameters, result);
    else if (name === 'lseek') this.#offsets.set(descriptorOf(parameters)?.number ?? -1, result);
    else if (/^(link|rename|unlink)/.test(name)) this.#named(name, parameters);
  }

  #opened(parameters: string, fd: number): void {
    const name = this.#nameOf(pathsOf(parameters)[0] ?? '');
    this.#known.delete(fd);
    if (name === null) return;
    const isNew = parameters.includes('O_EXCL');
    if (!isNew && /O_TRUNC|O_APPEND/.test(parameters))
      throw new Error('the model of the disk knows no O_TRUNC or O_APPEND');
    this.#known.add(fd);
    this.#offsets.set(fd, 0);
    this.events.push({ kind: 'open', fd, name, isSynced: /O_D?SYNC/.test(parameters) });
  }

  #named(call: string, parameters: string): void {
    const [from = null, to = null] = pathsOf(parameters).map((path) => this.#nameOf(path));
    if (from === null) return;
    if (call.startsWith('link') || call.startsWith('rename')) {
      if (to === null) throw new Error('a file left the folder');
      this.events.push({ kind: 'link', from, to });
    }
    if (!call.startsWith('link')) this.events.push({ kind: 'unlink', name: from });
  }

  /** Null: not in the folder. */
  #nameOf(path: string): string | null {
    const whole = resolve(path.replace(/ \(deleted\)$/, ''));
    if (whole === this.#folder) return FOLDER;
    return dirname(whole) === this.#folder ? basename(whole) : null;
  }
}

type Change =
  | { readonly kind: 'write'; readonly fd: number; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly fd: number; readonly bytes: number }
  | { readonly kind: 'sync'; readonly fd: number };

function bytesOf(parameters: string): Buffer {
  return Buffer.concat(buffersOf(parameters));
}

function pathsOf(parameters: string): string[] {
  return buffersOf(parameters).map((bytes) => bytes.toString());
}
