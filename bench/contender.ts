// A program under measurement: how it is started, what it costs, how it is stopped.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';

export interface Contender {
  readonly name: string;
  /** What it promises before it acknowledges: figures are not comparable without it. */
  readonly durability: string;
  start(
    folder: string,
    port: number,
  ): { command: string; args: string[]; env?: NodeJS.ProcessEnv; cwd?: string };
}

export interface Running {
  readonly contender: Contender;
  readonly port: number;
  /** Seconds of CPU used so far, user and system. */
  cpuSeconds(): number;
  /** Now, and the most it had. */
  memory(): Memory;
  /** Ends it gently and starts it again on what it kept; until it listens. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface Memory {
  /** Mapped pages of a store's file do not count. */
  readonly anonymousMiB: number;
  readonly residentMiB: number;
  readonly peakResidentMiB: number;
}

const CLOCK_TICKS = 100;
const START_MS = 30_000;
/** Under the checkout, so that it is the disk people would use and not a memory file system. */
const DATA_ROOT = join(import.meta.dirname, '../../node_modules/.cache');

/** Until it listens. */
export async function start(contender: Contender): Promise<Running> {
  const running = await launch(contender);
  try {
    await listening(running);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return running;
}

/** Without waiting for anything. */
export async function launch(contender: Contender): Promise<Running> {
  const folder = mkdtempSync(join(DATA_ROOT, 'bench-data-'));
  const port = await freePort();
  let child = spawnContender(contender, folder, port);
  const running: Running = {
    contender,
    port,
    cpuSeconds: () => cpuSeconds(child.pid ?? 0),
    memory: () => memoryOf(child.pid ?? 0),
    restart: async () => {
      await endOf(child, 'SIGTERM');
      child = spawnContender(contender, folder, port);
      await listening(running);
    },
    stop: async () => {
      await endOf(child, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return running;
}

function spawnContender(contender: Contender, folder: string, port: number): ChildProcess {
  const { command, args, env, cwd } = contender.start(folder, port);
  const [program, ...rest] = isThere('taskset')
    ? ['taskset', '-c', '0', command, ...args]
    : [command, ...args];
  return spawn(program ?? command, rest, {
    stdio: ['ignore', 'ignore', process.env['BENCH_VERBOSE'] === '1' ? 'inherit' : 'ignore'],
    env: { ...process.env, ...env },
    cwd: cwd ?? folder,
  });
}

async function endOf(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
}

export function isThere(tool: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, tool)));
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

async function listening({ port, contender }: Running): Promise<void> {
  const deadline = Date.now() + START_MS;
  while (!(await accepts(port))) {
    if (Date.now() > deadline) throw new Error(`${contender.name} does not listen on ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mib = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024;
  return { anonymousMiB: mib('RssAnon'), residentMiB: mib('VmRSS'), peakResidentMiB: mib('VmHWM') };
}
