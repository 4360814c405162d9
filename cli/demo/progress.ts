// What the demo shows while it runs: the fleet as the API tells it, and the newest record.
import { printLine, printTable, printable } from '../output.ts';
import type { ServerApi } from '../server-api.ts';

interface Fleet {
  readonly gateways: readonly {
    readonly name: string;
    readonly state: string;
    readonly backlogRecords: number;
    readonly oldestUnsentMs: number | null;
  }[];
}

interface Page {
  readonly Records: readonly { readonly Data: string; readonly PartitionKey: string }[];
  readonly NextShardIterator: string;
}

/** Answers how to stop. */
export function showProgress(api: ServerApi, intervalMs: number, signal: AbortSignal): () => Promise<void> {
  const reader = new TelemetryReader(api);
  let running = Promise.resolve();
  const show = async (): Promise<void> => {
    if (signal.aborted) return;
    await reader.readOn();
    const { gateways } = (await api.fleet('GET', '/api/v1/gateways')) as Fleet;
    if (process.stdout.isTTY && reader.shown > 0) process.stdout.write(`\x1b[${gateways.length + 3}A\x1b[J`);
    reader.shown += 1;
    printLine(`${reader.count} records at the server; the newest: ${reader.newest}`);
    printTable(
      ['GATEWAY', 'LINK', 'BACKLOG', 'OLDEST UNSENT'],
      gateways.map((gateway) => [
        gateway.name,
        gateway.state,
        String(gateway.backlogRecords),
        gateway.oldestUnsentMs === null ? '-' : `${Math.round(gateway.oldestUnsentMs / 1000)} s`,
      ]),
    );
    printLine('');
  };
  const timer = setInterval(() => {
    running = running.then(show).catch((error: unknown) => {
      // The server is stopping: what comes next is the end of the demo.
      if (!signal.aborted) throw error;
    });
  }, intervalMs);
  return async () => {
    clearInterval(timer);
    await running;
  };
}

class TelemetryReader {
  readonly #api: ServerApi;
  #iterator: string | null = null;
  count = 0;
  newest = 'none yet';
  shown = 0;

  constructor(api: ServerApi) {
    this.#api = api;
  }

  async readOn(): Promise<void> {
    this.#iterator ??= await this.#start();
    if (this.#iterator === null) return;
    for (;;) {
      const page = (await this.#api.kinesis('GetRecords', { ShardIterator: this.#iterator })) as Page;
      this.#iterator = page.NextShardIterator;
      this.count += page.Records.length;
      const last = page.Records.at(-1);
      if (last === undefined) return;
      this.newest = printable(Buffer.from(last.Data, 'base64').toString('utf8')).slice(0, 120);
    }
  }

  /** Null: no record has come, so the stream is not there yet. */
  async #start(): Promise<string | null> {
    const { StreamNames } = (await this.#api.kinesis('ListStreams', {})) as { StreamNames: string[] };
    if (!StreamNames.includes('telemetry')) return null;
    const input = {
      StreamName: 'telemetry',
      ShardId: 'shardId-000000000000',
      ShardIteratorType: 'TRIM_HORIZON',
    };
    return ((await this.#api.kinesis('GetShardIterator', input)) as { ShardIterator: string }).ShardIterator;
  }
}
