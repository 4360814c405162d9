// Programs on the Kinesis Client Library, and the DynamoDB they keep their leases in; Maven fetches both.
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { classPath } from './maven.ts';
import { CREDENTIALS, ROOT, startCommand } from './processes.ts';
import type { RunningCommand } from './processes.ts';

const FOLDER = join(ROOT, 'test/interop/kcl');
/** Far more than anything takes: version 3 leaves a dead leader two minutes before another worker takes its leases. */
const WAIT_MS = 600_000;
/** What DynamoDB Local has a library for, by Node's names. */
const NATIVE: Readonly<Record<string, string>> = { 'linux-x64': 'libsqlite4java-linux-amd64' };

export interface WorkerStart {
  /** Of the library. */
  readonly version: string;
  readonly serverUrl: string;
  readonly leasesUrl: string;
  readonly stream: string;
  readonly mode: 'polling' | 'fanout';
}

/** A consumer: what it printed is what it got, in order. */
export class KclWorker {
  readonly #program: RunningCommand;

  private constructor(program: RunningCommand) {
    this.#program = program;
  }

  static async start({ version, serverUrl, leasesUrl, stream, mode }: WorkerStart): Promise<KclWorker> {
    const libraries = await classPath(join(FOLDER, 'pom.xml'), [`-Dkcl.version=${version}`, 'compile']);
    const all = [join(FOLDER, 'target', version, 'classes'), libraries].join(delimiter);
    const parameters = [serverUrl, leasesUrl, stream, `app-${stream}`, mode];
    return new KclWorker(startCommand('java', ['-cp', all, 'worker.Worker', ...parameters], KEYS));
  }

  /** Of events of that kind, in order, what stands behind the kind. */
  events(kind: 'record' | 'ended'): string[] {
    const lines = this.#program.stdout().split('\n').slice(0, -1);
    return lines.filter((line) => line.startsWith(`${kind} `)).map((line) => line.slice(kind.length + 1));
  }

  /** Throws with what it complained of when it takes too long. */
  async until(isSo: (worker: KclWorker) => boolean): Promise<void> {
    const deadline = Date.now() + WAIT_MS;
    while (!isSo(this)) {
      if (Date.now() > deadline)
        throw new Error(`nothing more comes:\n${this.#program.stderr().slice(-20_000)}`);
      await sleep(100);
    }
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    await this.#program.kill(signal);
  }
}

const KEYS = {
  AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
  AWS_REGION: 'us-east-1',
};

/** Its URL, or null on a machine it has no library for. */
export async function startLeaseStore(): Promise<string | null> {
  const libraries = await classPath(join(FOLDER, 'dynamodb/pom.xml'), []);
  const native = NATIVE[`${process.platform}-${process.arch}`];
  const library = libraries.split(delimiter).find((path) => native !== undefined && path.includes(native));
  if (library === undefined) return null;
  const port = await freePort();
  const program = startCommand('java', [
    `-Dsqlite4java.library.path=${dirname(library)}`,
    '-cp',
    libraries,
    'com.amazonaws.services.dynamodbv2.local.main.ServerRunner',
    '-inMemory',
    '-disableTelemetry',
    '-port',
    String(port),
  ]);
  const url = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + WAIT_MS;
  // It refuses what is not signed, and is there.
  while ((await fetch(url).catch(() => null)) === null) {
    if (Date.now() > deadline) throw new Error(`DynamoDB Local does not start:\n${program.stderr()}`);
    await sleep(100);
  }
  return url;
}

/** It cannot pick one and say which. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}
