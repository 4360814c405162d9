// A few processes that check images, each one after the other. One that an image ends is replaced, and the image is bad.
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';

const CHECKER = join(import.meta.dirname, '../../../dist/test/fault/power-cut/image-check.js');
const CHECK_MS = 60_000;

export class ImageCheckers {
  readonly #idle: (ChildProcess | null)[];
  readonly #waiting: ((child: ChildProcess | null) => void)[] = [];

  constructor(count: number) {
    this.#idle = Array.from({ length: count }, () => null);
  }

  /** What is wrong with the image in the folder. */
  async check(folder: string): Promise<readonly string[]> {
    const child = (await this.#take()) ?? start();
    const problems = await ask(child, folder);
    const isAlive = child.exitCode === null && child.signalCode === null && child.connected;
    this.#give(isAlive ? child : null);
    return problems;
  }

  close(): void {
    for (const child of this.#idle) child?.kill('SIGKILL');
  }

  #take(): Promise<ChildProcess | null> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return Promise.resolve(idle);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #give(child: ChildProcess | null): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(child);
    else next(child);
  }
}

function start(): ChildProcess {
  return fork(CHECKER, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
}

function ask(child: ChildProcess, folder: string): Promise<readonly string[]> {
  return new Promise((resolve) => {
    let words = '';
    const listen = (chunk: Buffer): void => {
      words = (words + chunk.toString()).slice(-2_000);
    };
    const settle = (problems: readonly string[]): void => {
      clearTimeout(deadline);
      child.off('message', answered);
      child.off('exit', ended);
      child.stderr?.off('data', listen);
      resolve(problems);
    };
    const answered = (message: unknown): void => settle(message as string[]);
    const ended = (code: number | null, signal: string | null): void =>
      settle([`the program that opened it ended with ${code ?? signal}: ${words}`]);
    const deadline = setTimeout(() => {
      child.kill('SIGKILL');
      settle([`it was not checked in ${CHECK_MS} ms: ${words}`]);
    }, CHECK_MS);
    child.stderr?.on('data', listen);
    child.on('message', answered);
    child.on('exit', ended);
    child.send(folder);
  });
}
