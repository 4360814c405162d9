// The operations of the Kinesis service over a store in memory and a clock that a test turns: inputs as JSON, outputs
// and errors as a client gets them.
import { nodeDigest } from '../../runtime/digest.ts';
import { MetricsRegistry } from '../../runtime/metrics.ts';
import { Consumers } from '../../server/kinesis/consumers.ts';
import type { KinesisContext } from '../../server/kinesis/context.ts';
import { kinesisService } from '../../server/kinesis/kinesis-service.ts';
import { TokenSigner } from '../../server/kinesis/page-token.ts';
import { StateDelay } from '../../server/kinesis/state-delay.ts';
import { StreamCatalog } from '../../server/kinesis/stream-catalog.ts';
import { openTraffic } from '../../server/kinesis/traffic.ts';
import { JsonText } from '../../server/wire/aws-json.ts';
import { validateShape } from '../../server/wire/shape-validator.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import type { MemoryStore } from '../../storage/memory/memory-store.ts';
import { RecordLog } from '../../storage/record-log.ts';
import { openRunIdentity } from '../../storage/run-identity.ts';
import type { Log } from '../../stream/ports.ts';

export const ACCOUNT = { accountId: '000000000000', region: 'us-east-1' };
export const arnOf = (stream: string): string => `arn:aws:kinesis:us-east-1:000000000000:stream/${stream}`;

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  notice: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

export interface RigOptions {
  readonly stateDelayMs?: number;
}

type Json = Readonly<Record<string, unknown>>;

export class KinesisRig {
  readonly store: MemoryStore;
  readonly #clock: { nowMs: number };
  #context!: KinesisContext;
  #delay = new StateDelay(0, silent);

  private constructor(store: MemoryStore, clock: { nowMs: number }) {
    this.store = store;
    this.#clock = clock;
  }

  static async open(options: RigOptions = {}): Promise<KinesisRig> {
    const clock = { nowMs: 1_800_000_000_000 };
    const store = await openMemoryStore({ clock: clockOf(clock) });
    const rig = new KinesisRig(store, clock);
    await rig.restart(options);
    return rig;
  }

  /** A server that starts over what the store holds. */
  async restart({ stateDelayMs = 0 }: RigOptions = {}): Promise<void> {
    await this.#delay.close();
    const { store } = this;
    const clock = clockOf(this.#clock);
    this.#delay = new StateDelay(stateDelayMs, silent);
    const catalog = await StreamCatalog.open(store, clock, ACCOUNT);
    this.#context = {
      account: ACCOUNT,
      catalog,
      consumers: await Consumers.open({
        meta: store.meta,
        catalog,
        clock,
        account: ACCOUNT,
        delay: this.#delay,
      }),
      records: new RecordLog(store.log, openRunIdentity(), clock, nodeDigest),
      log: store.log,
      tokens: new TokenSigner(Buffer.alloc(32, 7)),
      clock,
      digest: nodeDigest,
      traffic: openTraffic(new MetricsRegistry()),
      authorize: () => undefined,
    };
  }

  get context(): KinesisContext {
    return this.#context;
  }

  passMs(ms: number): void {
    this.#clock.nowMs += ms;
  }

  /** The output; throws what the client is told. */
  async call(name: string, input: Json): Promise<Json> {
    const { model, operations } = kinesisService(this.#context);
    const entry = operations[name];
    if (entry === undefined || !('handle' in entry)) throw new Error(`${name} is not offered`);
    const output = await entry.handle(validateShape(model.shapes, entry.input, input), {
      accessKeyId: 'test',
    });
    return JSON.parse(output instanceof JsonText ? output.text : JSON.stringify(output ?? {})) as Json;
  }

  /** `Type: text` of what the call is refused with. */
  async refusal(name: string, input: Json): Promise<string> {
    try {
      await this.call(name, input);
    } catch (error) {
      const { type, message } = error as { type?: string; message: string };
      return `${type ?? 'no service error'}: ${message}`;
    }
    return 'it succeeded';
  }
}

function clockOf(clock: { nowMs: number }) {
  return { wallMs: () => clock.nowMs, monotonicUs: () => BigInt(clock.nowMs) * 1000n };
}
