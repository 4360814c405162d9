// The Log port: one JSON line per event on stderr. stdout is for data.
import type { Log, LogFields } from '../stream/ports.ts';

export const LOG_LEVELS = ['debug', 'info', 'notice', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  readonly level: LogLevel;
  readonly write?: (line: string) => void;
  readonly now?: () => number;
}

export function openLog(module: string, options: LogOptions): Log {
  const least = LOG_LEVELS.indexOf(options.level);
  const write = options.write ?? ((line) => void process.stderr.write(line));
  const now = options.now ?? Date.now;
  const emit = (level: LogLevel, event: string, fields?: LogFields | (() => LogFields)): void => {
    if (LOG_LEVELS.indexOf(level) < least) return;
    const values = typeof fields === 'function' ? fields() : fields;
    const head = { time: new Date(now()).toISOString(), level, module, event };
    write(`${JSON.stringify({ ...head, ...values }, plain)}\n`);
  };
  return {
    debug: (event, fields) => emit('debug', event, fields),
    info: (event, fields) => emit('info', event, fields),
    notice: (event, fields) => emit('notice', event, fields),
    warn: (event, fields) => emit('warn', event, fields),
    error: (event, fields) => emit('error', event, fields),
    child: (name) => openLog(name, options),
  };
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (!(value instanceof Error)) return value;
  const code = 'code' in value ? { code: value.code } : {};
  return { message: value.message, ...code, ...(value.cause === undefined ? {} : { cause: value.cause }) };
}
