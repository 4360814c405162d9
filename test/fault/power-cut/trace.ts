// What strace wrote of one program, as the calls that reach a disk: each in the order it began, and when it returned.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** What the recording needs of strace: whole buffers in hex, paths of descriptors, only these calls. */
export const STRACE = [
  '-f',
  '-y',
  '-xx',
  '-qq',
  '--seccomp-bpf',
  '-s',
  '20000000',
  '-e',
  'trace=openat,lseek,write,writev,pwrite64,pwritev,ftruncate,fallocate,fdatasync,fsync,msync,link,linkat,unlink,unlinkat,rename,renameat,renameat2',
] as const;

/** A call as strace prints it; `id` joins its begin and its end. */
export type TraceEvent =
  | { readonly kind: 'begin'; readonly id: number; readonly call: Call }
  | {
      readonly kind: 'end';
      readonly id: number;
      readonly call: Call;
      /** What it returned; negative when it failed. */
      readonly result: number;
      /** strace answered in the kernel's place. */
      readonly isInjected: boolean;
    };

export interface Call {
  readonly name: string;
  readonly parameters: string;
}

const LINE = /^(\d+) +(.*)$/s;
const RESUMED = /^<\.\.\. (\w+) resumed>(.*)$/s;
const UNFINISHED = ' <unfinished ...>';
const FINISHED = /^(.*)\) += (-?\d+)(.*)$/s;

/** Throws at a line it does not understand: a call that is passed over would make a disk that never was. */
export async function* readTrace(path: string): AsyncGenerator<TraceEvent> {
  const open = new Map<string, { readonly id: number; readonly name: string; readonly begun: string }>();
  let count = 0;
  for await (const line of createInterface({
    input: createReadStream(path, 'latin1'),
    crlfDelay: Infinity,
  })) {
    const [, thread = '', text = ''] = LINE.exec(line) ?? [];
    // Signals and ends of threads.
    if (text.startsWith('+++') || text.startsWith('---')) continue;
    const resumed = RESUMED.exec(text);
    if (resumed !== null) {
      const { id, name, begun } = present(open.get(thread), line);
      open.delete(thread);
      yield ended(id, name, begun + (resumed[2] ?? ''), line);
      continue;
    }
    const [, name = '', rest = ''] = /^(\w+)\((.*)$/s.exec(text) ?? [];
    if (name === '') throw new Error(`a line of the trace is not understood: ${short(line)}`);
    count += 1;
    if (rest.endsWith(UNFINISHED)) {
      const begun = rest.slice(0, -UNFINISHED.length);
      open.set(thread, { id: count, name, begun });
      yield { kind: 'begin', id: count, call: { name, parameters: begun } };
    } else {
      const end = ended(count, name, rest, line);
      yield { kind: 'begin', id: count, call: end.call };
      yield end;
    }
  }
}

/** Every quoted buffer of a call, in order. */
export function buffersOf(parameters: string): Buffer[] {
  return [...parameters.matchAll(/"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g)].map(([, hex = '', more]) => {
    if (more !== undefined) throw new Error('a buffer of the trace is cut short');
    return Buffer.from(hex.replaceAll('\\x', ''), 'hex');
  });
}

export interface Descriptor {
  readonly number: number;
  readonly path: string;
}

/** The descriptor a call begins with, `19<path>`; null when it has none. */
export function descriptorOf(text: string): Descriptor | null {
  const [, number, path = ''] = /^(\d+)<([^>]*)>/.exec(text) ?? [];
  return number === undefined ? null : { number: Number(number), path: textOf(path) };
}

/** What a call ends with: an offset, a length. */
export function lastNumberOf(parameters: string): number {
  const [, number] = /[ ,](-?\d+)$/.exec(parameters) ?? [];
  if (number === undefined) throw new Error(`a call of the trace ends with no number: ${short(parameters)}`);
  return Number(number);
}

function textOf(hex: string): string {
  return hex.includes('\\x') ? Buffer.from(hex.replaceAll('\\x', ''), 'hex').toString() : hex;
}

function ended(id: number, name: string, text: string, line: string): TraceEvent & { kind: 'end' } {
  const [, parameters = '', result, rest = ''] = FINISHED.exec(text) ?? [];
  if (result === undefined) throw new Error(`a line of the trace is not understood: ${short(line)}`);
  const isInjected = rest.includes('(INJECTED)');
  return { kind: 'end', id, call: { name, parameters }, result: Number(result), isInjected };
}

function present<T>(value: T | undefined, line: string): T {
  if (value === undefined) throw new Error(`a call of the trace ends that never began: ${short(line)}`);
  return value;
}

function short(line: string): string {
  return line.slice(0, 200);
}
