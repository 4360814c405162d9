// mosquitto_pub as a sensor that numbers its readings: one line each with QoS 1, and which of them were acknowledged.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

const PUBACK = /received PUBACK \(Mid: (\d+)/g;

export class Publisher {
  readonly #child: ChildProcess;
  readonly #acknowledged = new Set<number>();
  readonly ended: Promise<number | null>;
  #written = 0;

  /** Lines reach the gateway one by one; it reconnects by itself and repeats what was not acknowledged. */
  constructor(port: number, topic: string) {
    const parameters = ['-d', '-i', 'publisher', '-p', `${port}`, '-q', '1', '-l', '-t', topic];
    // Its output is a pipe: without stdbuf it would come in lumps, or never.
    this.#child = spawn('stdbuf', ['-oL', 'mosquitto_pub', ...parameters], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    let rest = '';
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      // Packet ids count from 1, lines from 0.
      for (const line of lines) {
        for (const [, id] of line.matchAll(PUBACK)) this.#acknowledged.add(Number(id) - 1);
      }
    });
    this.#child.stdin?.on('error', () => undefined);
    this.ended = new Promise((resolve) => this.#child.once('close', (code) => resolve(code)));
  }

  get written(): number {
    return this.#written;
  }

  /** Ascending. */
  get acknowledged(): number[] {
    return [...this.#acknowledged].toSorted((a, b) => a - b);
  }

  write(count: number): void {
    for (let line = 0; line < count; line += 1) this.#child.stdin?.write(`${this.#written++}\n`);
  }

  /** No more lines: it ends when all are acknowledged. */
  end(): void {
    this.#child.stdin?.end();
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}
