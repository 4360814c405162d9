// The operations of the Kinesis service over a store in memory and a clock that a test turns: inputs as JSON, outputs
// and errors as a client gets them.
import type { KinesisContext } from '../../server/kinesis/context.ts';
import { kinesisService } from '../../server/kinesis/kinesis-service.ts';
import { StateDelay } from '../../server/kinesis/state-delay.ts';
import { JSON_CODEC } from '../../server/wire/json-codec.ts';
import { JSON_SCALARS } from '../../server/wire/scalar-types.ts';
import { validateShape } from '../../server/wire/shape-validator.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import type { MemoryStore } from '../../storage/memory/memory-store.ts';
import { CALLER, kinesisContext, silent } from '../kinesis-rig.ts';
import type { ContextOptions } from '../kinesis-rig.ts';

export const arnOf = (stream: string): string => `arn:aws:kinesis:us-east-1:000000000000:stream/${stream}`;

export interface RigOptions extends Pick<ContextOptions, 'keys' | 'env' | 'log' | 'authorizeKey'> {
  readonly stateDelayMs?: number;
  /** Of calls; default off. */
  readonly limits?: 'aws' | 'off';
}

type Json = Readonly<Record<string, unknown>>;

export class KinesisClient {
  readonly store: MemoryStore;
  readonly #clock: { nowMs: number };
  #context!: KinesisContext;
  #delay = new StateDelay(0, silent);

  private constructor(store: MemoryStore, clock: { nowMs: number }) {
    this.store = store;
    this.#clock = clock;
  }

  static async open(options: RigOptions = {}): Promise<KinesisClient> {
    const clock = { nowMs: 1_800_000_000_000 };
    const store = await openMemoryStore({ clock: clockOf(clock) });
    const rig = new KinesisClient(store, clock);
    await rig.restart(options);
    return rig;
  }

  /** A server that starts over what the store holds. */
  async restart({ stateDelayMs = 0, limits = 'off', ...options }: RigOptions = {}): Promise<void> {
    await this.#delay.close();
    const { store } = this;
    const clock = clockOf(this.#clock);
    this.#delay = new StateDelay(stateDelayMs, silent);
    this.#context = await kinesisContext(store, clock, {
      ...options,
      delay: this.#delay,
      profile: limits,
    });
  }

  get context(): KinesisContext {
    return this.#context;
  }

  get nowMs(): number {
    return this.#clock.nowMs;
  }

  passMs(ms: number): void {
    this.#clock.nowMs += ms;
  }

  /** The output; throws what the client is told. */
  async call(name: string, input: Json): Promise<Json> {
    const { model, operations } = kinesisService(this.#context);
    const entry = operations[name];
    if (entry === undefined || !('handle' in entry)) throw new Error(`${name} is not offered`);
    const output = await entry.handle(validateShape(model.shapes, entry.input, input, JSON_SCALARS), CALLER);
    return JSON.parse(String(JSON_CODEC.write(output ?? {}))) as Json;
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
