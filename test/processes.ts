// Real programs for tests: started from the build, waited for by their ready line, killed when the test is over.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '..');
export const MAIN = join(ROOT, 'dist/program/main.js');
export const CREDENTIALS = { accessKeyId: 'TESTKEY', secretAccessKey: 'test-secret-of-no-worth' };

/** Far more than any start takes; a hanging one fails with what it said. */
const READY_MS = 30_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningProgram {
  readonly pid: number;
  /** The ready line. */
  readonly ready: Readonly<Record<string, unknown>>;
  stdout(): string;
  stderr(): string;
  /** The log's events so far. */
  events(): readonly Readonly<Record<string, unknown>>[];
  readonly ended: Promise<Exit>;
  /** Sends the signal and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<Exit>;
  signal(signal: NodeJS.Signals): void;
}

const running = new Set<ChildProcess>();
const folders: string[] = [];

/** For `afterEach` or `afterAll`: nothing that a test started outlives it. */
export async function stopAll(): Promise<void> {
  const ends = [...running].map(
    (child) => new Promise((resolve) => (child.exitCode === null ? child.once('exit', resolve) : resolve(0))),
  );
  // A stopped process takes no other signal.
  for (const child of running) child.kill('SIGKILL');
  await Promise.all(ends);
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** Removed by stopAll. */
export function temporaryFolder(name = 'data'): string {
  const folder = mkdtempSync(join(tmpdir(), `tributary-${name}-`));
  folders.push(folder);
  return folder;
}

/**
 * Starts `tributary ARGUMENTS…` and waits for its ready line. Rejects with its stderr when it ends before.
 * `fileKiBMax`: a write beyond that size of a file fails, as on a broken disk. `wrapper`: a command that runs it in its
 * own place, so that its process id stays the program's.
 */
export async function startProgram(
  parameters: readonly string[],
  env: Environment = {},
  fileKiBMax?: number,
  wrapper: readonly string[] = [],
): Promise<RunningProgram> {
  const node = [...wrapper, process.execPath, MAIN, ...parameters];
  // Ignored in bash, the signal of that limit is ignored in the program: it sees an error instead.
  const limited = ['-c', `trap '' XFSZ; ulimit -f ${fileKiBMax}; exec "$@"`, 'bash', ...node];
  const [command = '', ...rest] = fileKiBMax === undefined ? node : ['bash', ...limited];
  const child = spawn(command, rest, { env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  const stdout = collect(child, 'stdout');
  const stderr = collect(child, 'stderr');
  const ended = new Promise<Exit>((resolve) => {
    child.once('exit', () => running.delete(child));
    // 'close' comes when the output has been read whole.
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const ready = await readyLine(child, stdout, stderr, ended, parameters);
  return {
    pid: child.pid ?? 0,
    ready,
    stdout,
    stderr,
    events: () => parseLines(stderr()),
    ended,
    kill: (signal) => {
      child.kill(signal);
      return ended;
    },
    signal: (signal) => void child.kill(signal),
  };
}

export interface RunningServer extends RunningProgram {
  readonly httpUrl: string;
  readonly data: string;
  /** A new process with the same folder, port and environment; the old one must have ended. */
  restart(): Promise<RunningServer>;
}

export interface ServerStart {
  readonly data?: string;
  readonly port?: number;
  readonly parameters?: readonly string[];
  readonly env?: Environment;
  readonly fileKiBMax?: number;
}

export async function startServer(start: ServerStart = {}): Promise<RunningServer> {
  const data = start.data ?? temporaryFolder('server');
  const parameters = ['server', '--data', data, '--port', String(start.port ?? 0)];
  // Tests read in loops. The limits have tests of their own.
  const env = { ...credentialEnvironment(), TRIBUTARY_SERVER_LIMITS: 'off', ...start.env };
  const all = [...parameters, ...(start.parameters ?? [])];
  const program = await startProgram(all, env, start.fileKiBMax);
  const httpUrl = String(program.ready['httpUrl']);
  return {
    ...program,
    httpUrl,
    data,
    restart: () => startServer({ ...start, data, port: Number(new URL(httpUrl).port) }),
  };
}

export interface RunningGateway extends RunningProgram {
  readonly mqttPort: number;
  readonly statusUrl: string;
  readonly data: string;
  restart(): Promise<RunningGateway>;
}

export interface GatewayStart {
  readonly data?: string;
  readonly mqttPort?: number;
  /** E.g. `--server URL --enrol CODE`. */
  readonly parameters?: readonly string[];
  readonly env?: Environment;
  readonly wrapper?: readonly string[];
}

export async function startGateway(start: GatewayStart = {}): Promise<RunningGateway> {
  const data = start.data ?? temporaryFolder('gateway');
  const parameters = ['gateway', '--data', data, '--mqtt-port', String(start.mqttPort ?? 0)];
  const program = await startProgram(
    [...parameters, '--status-port', '0', ...(start.parameters ?? [])],
    start.env,
    undefined,
    start.wrapper,
  );
  const mqttPort = Number(program.ready['mqttPort']);
  return {
    ...program,
    mqttPort,
    statusUrl: String(program.ready['statusUrl']),
    data,
    restart: () => startGateway({ ...start, data, mqttPort }),
  };
}

export interface Finished extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCommand {
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<Exit>;
  /** Sends the signal and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<Exit>;
}

/** Starts any command, which stopAll ends if nobody has. */
export function startCommand(
  command: string,
  parameters: readonly string[],
  env: Environment = {},
): RunningCommand {
  const child = spawn(command, parameters, { env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  const ended = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => running.delete(child));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  return {
    stdout: collect(child, 'stdout'),
    stderr: collect(child, 'stderr'),
    ended,
    kill: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
}

/** Runs any command to its end. */
export function run(
  command: string,
  parameters: readonly string[],
  options: { readonly env?: Environment; readonly stdin?: string } = {},
): Promise<Finished> {
  const child = spawn(command, parameters, { env: environment(options.env ?? {}), stdio: 'pipe' });
  running.add(child);
  const stdout = collect(child, 'stdout');
  const stderr = collect(child, 'stderr');
  // It may end without reading its stdin.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin ?? '');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => running.delete(child));
    child.once('close', (code, signal) => resolve({ code, signal, stdout: stdout(), stderr: stderr() }));
  });
}

/** Runs `tributary ARGUMENTS…` to its end. */
export function runCli(
  parameters: readonly string[],
  options: { readonly env?: Environment; readonly stdin?: string } = {},
): Promise<Finished> {
  return run(process.execPath, [MAIN, ...parameters], options);
}

export function credentialEnvironment(): Record<string, string> {
  return {
    TRIBUTARY_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
    TRIBUTARY_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
  };
}

/** Nothing of the developer's own settings reaches a test. */
function environment(env: Environment): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(TRIBUTARY|AWS)_/.test(name));
  return { ...Object.fromEntries(inherited), ...env };
}

function collect(child: ChildProcess, name: 'stdout' | 'stderr'): () => string {
  let text = '';
  child[name]?.setEncoding('utf8');
  child[name]?.on('data', (chunk: string) => {
    text = (text + chunk).slice(-OUTPUT_BYTES_MAX);
  });
  return () => text;
}

function readyLine(
  child: ChildProcess,
  stdout: () => string,
  stderr: () => string,
  ended: Promise<Exit>,
  parameters: readonly string[],
): Promise<Record<string, unknown>> {
  const name = `tributary ${parameters.join(' ')}`;
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${name} was not ready in ${READY_MS} ms:\n${stderr()}`));
    }, READY_MS);
    child.once('error', reject);
    child.stdout?.on('data', () => {
      const [line, ...rest] = stdout().split('\n');
      if (line === undefined || rest.length === 0) return;
      clearTimeout(deadline);
      resolve(JSON.parse(line) as Record<string, unknown>);
    });
    void ended.then(({ code, signal }) => {
      clearTimeout(deadline);
      reject(new Error(`${name} ended with ${code ?? signal} before it was ready:\n${stderr()}`));
    });
  });
}

function parseLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
