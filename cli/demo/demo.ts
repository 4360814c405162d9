// The demo: a server and three gateways in this process, over real sockets and a real pseudo-terminal, in a temporary
// folder. The third gateway loses its link every 30 s and catches up.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadGatewayConfig } from '../../gateway/config.ts';
import { openGateway } from '../../gateway/gateway.ts';
import type { RunningGateway } from '../../gateway/gateway.ts';
import { DisposeStack } from '../../runtime/dispose-stack.ts';
import { openLog } from '../../runtime/log-writer.ts';
import { loadServerConfig } from '../../server/config.ts';
import { openServer } from '../../server/server.ts';
import type { RunningServer } from '../../server/server.ts';
import { isTributaryError } from '../../stream/errors.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { printLine, printNotice } from '../output.ts';
import { openServerApi } from '../server-api.ts';
import type { ServerApi } from '../server-api.ts';
import { openPseudoTerminal } from './pseudo-terminal.ts';
import { Relay } from './relay.ts';
import { showProgress } from './progress.ts';
import { feedOverMqtt, openSensor } from './sensors.ts';

const GATEWAYS = ['gateway-north', 'gateway-south', 'gateway-flaky'] as const;
const SENSORS_PER_GATEWAY = 3;
const READING_INTERVAL_MS = 1_000;
const CUT_EVERY_MS = 30_000;
const CUT_FOR_MS = 10_000;
const SHOW_INTERVAL_MS = 2_000;
const INTERRUPTS_BORNE = 2;

export async function runDemo({ seconds }: { seconds?: number }): Promise<void> {
  const parts = new DisposeStack();
  const stop = new AbortController();
  endOnSignals(stop);
  if (seconds !== undefined) setTimeout(() => stop.abort(EXIT.ok), seconds * 1000).unref();
  try {
    await build(parts, stop.signal);
    await ended(stop.signal);
  } finally {
    printNotice('cleaning up …');
    await parts.close();
  }
  process.exit(Number(stop.signal.reason));
}

/**
 * The second SIGINT changes nothing: of one Ctrl-C both the terminal and npm send one. The third means it. Of the others
 * none may end the process, or the folder would stay.
 */
function endOnSignals(stop: AbortController): void {
  let interrupts = 0;
  process.on('SIGINT', () => {
    interrupts += 1;
    if (interrupts > INTERRUPTS_BORNE) process.exit(EXIT.interrupted);
    stop.abort(EXIT.interrupted);
  });
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort(EXIT.ok));
}

async function build(parts: DisposeStack, signal: AbortSignal): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-demo-'));
  // However the process ends, as far as it is asked.
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const keys = { accessKeyId: 'DEMO', secretAccessKey: randomBytes(15).toString('hex') };
  const env = {
    TRIBUTARY_ACCESS_KEY_ID: keys.accessKeyId,
    TRIBUTARY_SECRET_ACCESS_KEY: keys.secretAccessKey,
  };
  const server = parts.use(await startServer(join(folder, 'server'), env));
  const api = openServerApi({ server: server.httpUrl }, env);
  const relay = parts.use(await Relay.open(server.httpUrl));
  for (const name of GATEWAYS) {
    const isFlaky = name === 'gateway-flaky';
    // Half the sensors of the first gateway are on a serial line.
    const terminal = name === 'gateway-north' ? await openPseudoTerminal() : null;
    const url = isFlaky ? relay.url : server.httpUrl;
    const gateway = parts.use(await startGateway(join(folder, name), name, url, api, terminal?.path));
    const sensors = Array.from({ length: SENSORS_PER_GATEWAY }, (_, index) =>
      openSensor(`${name}-${index + 1}`, Math.random),
    );
    parts.use(await feedOverMqtt(gateway.mqttPort, sensors, READING_INTERVAL_MS));
    if (terminal !== null) feedOverSerial(terminal, parts);
    printNotice(`${name}: mqtt://127.0.0.1:${gateway.mqttPort}, status ${gateway.statusUrl ?? 'off'}`);
  }
  failEvery(relay, parts);
  tellHowToRead(server.httpUrl, env);
  parts.defer(showProgress(api, SHOW_INTERVAL_MS, signal));
}

/** Port 4567 if it is free, so that the commands people know work; else any. */
async function startServer(data: string, env: NodeJS.ProcessEnv): Promise<RunningServer> {
  const log = openLog('server', { level: 'warn' });
  const options = { env, log, onStorageFailed: failed };
  try {
    return await openServer(loadServerConfig({ data }, {}), options);
  } catch (error) {
    if (!isPortTaken(error)) throw error;
    return openServer(loadServerConfig({ data, port: 0 }, {}), options);
  }
}

async function startGateway(
  data: string,
  name: string,
  server: string,
  api: ServerApi,
  serialPath: string | undefined,
): Promise<RunningGateway> {
  const { code: enrol } = (await api.fleet('POST', '/api/v1/enrolment-codes', { name })) as { code: string };
  const serial = serialPath === undefined ? [] : [{ path: serialPath, baudRate: 115_200, profile: 'json' }];
  const config = loadGatewayConfig({ data, server, enrol, name, mqttPort: 0, statusPort: 0, serial }, {});
  return openGateway(config, {
    log: openLog(name, { level: 'error' }),
    onStorageFailed: failed,
    onRefused: failed,
  });
}

function feedOverSerial(
  terminal: { write(text: string): void; close(): void; readonly path: string },
  parts: DisposeStack,
): void {
  const sensor = openSensor('serial-1', Math.random);
  const timer = setInterval(() => terminal.write(`${sensor.next(Date.now())}\n`), READING_INTERVAL_MS);
  parts.defer(() => {
    clearInterval(timer);
    terminal.close();
  });
  printNotice(`serial-1: ${terminal.path}`);
}

function failEvery(relay: Relay, parts: DisposeStack): void {
  let mending: NodeJS.Timeout | undefined;
  const cutting = setInterval(() => {
    relay.cut();
    mending = setTimeout(() => relay.mend(), CUT_FOR_MS);
  }, CUT_EVERY_MS);
  parts.defer(() => {
    clearInterval(cutting);
    clearTimeout(mending);
  });
}

function tellHowToRead(url: string, env: Readonly<Record<string, string>>): void {
  const keys = `AWS_ACCESS_KEY_ID=${env['TRIBUTARY_ACCESS_KEY_ID']} AWS_SECRET_ACCESS_KEY=${env['TRIBUTARY_SECRET_ACCESS_KEY']}`;
  const aws = `aws --endpoint-url ${url} kinesis`;
  const iterator = `${aws} get-shard-iterator --stream-name telemetry --shard-id shardId-000000000000 --shard-iterator-type TRIM_HORIZON --query ShardIterator --output text`;
  printLine('');
  printLine('Read the records with the AWS CLI:');
  printLine('');
  printLine(`export ${keys} AWS_DEFAULT_REGION=us-east-1`);
  printLine(`${aws} get-records --limit 5 --shard-iterator $(${iterator})`);
  printLine('');
}

function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function isPortTaken(error: unknown): boolean {
  const { cause } = isTributaryError(error, 'CONFIG_INVALID') ? error : {};
  return cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE';
}

function failed(error: Error): never {
  throw new CliError({ exit: EXIT.failed, code: 'DEMO_FAILED', message: error.message }, { cause: error });
}
