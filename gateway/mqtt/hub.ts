// aedes with two repairs: publishes reach subscribers one after the other, in the order they were authorized,
// and a connection that ends does not unregister the one that has taken its client id over.
import { Aedes } from 'aedes';
import type { AedesOptions, Client, PublishPacket } from 'aedes';
import { insideHub } from './aedes-inside.ts';
import type { AedesClient } from './aedes-inside.ts';

/** As aedes types it; it passes null too. */
type PublishDone = (error?: Error) => void;

interface Job {
  readonly packet: PublishPacket;
  readonly client: Client | null;
  readonly done: PublishDone | undefined;
}

export class Hub extends Aedes {
  readonly #waiting: Job[] = [];
  /** The job that is between its start and the moment subscribers have been called. */
  #current: Job | null = null;
  #isAdvancing = false;
  #unfinished = 0;

  static async open(options: AedesOptions): Promise<Hub> {
    const hub = new Hub(options);
    hub.#releaseOnEmit();
    await hub.listen();
    return hub;
  }

  /** Publishes whose delivery has not ended. */
  get unfinished(): number {
    return this.#unfinished;
  }

  clientOf(id: string): AedesClient | undefined {
    return insideHub(this).clients[id];
  }

  /** Every registered client. */
  allClients(): AedesClient[] {
    return Object.values(insideHub(this).clients).filter((client) => client !== undefined);
  }

  /**
   * aedes awaits its persistence between numbering a packet and routing it, for a different time by QoS and RETAIN:
   * without this queue a later publish overtakes an earlier one of the same topic.
   */
  override publish(packet: PublishPacket, second: Client | null | PublishDone, third?: PublishDone): void {
    const client = typeof second === 'function' ? null : second;
    const done = typeof second === 'function' ? second : third;
    this.#waiting.push({ packet, client, done });
    this.#unfinished += 1;
    this.#advance();
  }

  /** Called by aedes. Its own would delete whichever client has the id by now. */
  unregisterClient(client: AedesClient): void {
    if (this.clientOf(client.id) !== client) return;
    this.#aedes('unregisterClient', client);
  }

  /** Called by aedes when the former connection of the same client id has been told to end. */
  _finishRegisterClient(client: AedesClient): void {
    if (client.closed) return;
    const former = this.clientOf(client.id);
    if (former !== undefined) this.unregisterClient(former);
    this.#aedes('_finishRegisterClient', client);
  }

  /** A method of aedes that its types leave out or give too few parameters. */
  #aedes(method: 'publish' | 'unregisterClient' | '_finishRegisterClient', ...values: unknown[]): void {
    Reflect.apply(Reflect.get(Aedes.prototype, method), this, values);
  }

  #advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    while (this.#current === null) {
      const job = this.#waiting.shift();
      if (job === undefined) break;
      this.#current = job;
      this.#start(job);
    }
    this.#isAdvancing = false;
  }

  #start(job: Job): void {
    const finish: PublishDone = (error) => {
      this.#unfinished -= 1;
      if (this.#current === job) this.#current = null;
      job.done?.(error);
      this.#advance();
    };
    this.#aedes('publish', job.packet, job.client, finish);
  }

  /** Only a publish emits, and only one publish is under way, so an emit is that of the current job. */
  #releaseOnEmit(): void {
    const { mq } = insideHub(this);
    const emit = mq.emit.bind(mq);
    mq.emit = (packet, done) => {
      const job = this.#current;
      const result = emit(packet, done);
      // Without subscribers `done` has been called inside, and the next job may be under way.
      if (this.#current === job) this.#current = null;
      this.#advance();
      return result;
    };
  }
}
