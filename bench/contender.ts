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
  /** Anonymous resident memory: mapped pages of a store's file do not count. */
  anonymousMiB(): number;
  stop(): Promise<void>;
}

const CLOCK_TICKS = 100;
const START_MS = 30_000;
/** Under the checkout, so that it is the disk people would use and not a memory file system. */
const DATA_ROOT = join(import.meta.dirname, '../../node_modules/.cache');

export async function start(contender: Contender): Promise<Running> {
  const folder = mkdtempSync(join(DATA_ROOT, 'bench-data-'));
  const port = await freePort();
  const { command, args, env, cwd } = contender.start(folder, port);
  const [program, ...rest] = isThere('taskset')
    ? ['taskset', '-c', '0', command, ...args]
    : [command, ...args];
  const child = spawn(program ?? command, rest, {
    stdio: ['ignore', 'ignore', process.env['BENCH_VERBOSE'] === '1' ? 'inherit' : 'ignore'],
    env: { ...process.env, ...env },
    cwd: cwd ?? folder,
  });
  await listening(port, child);
  return {
    contender,
    port,
    cpuSeconds: () => cpuSeconds(child.pid ?? 0),
    anonymousMiB: () => anonymousMiB(child.pid ?? 0),
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
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

async function listening(port: number, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + START_MS;
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`${child.spawnargs.join(' ')} ended with ${child.exitCode}`);
    if (Date.now() > deadline) throw new Error(`${child.spawnargs.join(' ')} does not listen on ${port}`);
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

function anonymousMiB(pid: number): number {
  const kib = /RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib ?? 0) / 1024;
}
