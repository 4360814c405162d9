// The gate every publish passes before aedes may acknowledge it: it opens when the record is durable.
// Records are appended in the order of arrival; acknowledgements of one connection leave in that order too.
import type { Client, PublishPacket } from 'aedes';
import { TributaryError } from '../../stream/errors.ts';
import type { MetaChange } from '../../stream/ports.ts';
import type { Counter } from '../../runtime/metrics.ts';
import type { Beside, Intake } from '../intake.ts';
import type { AedesClient, Done } from './aedes-inside.ts';
import { fingerprintOf } from './inbound-ids.ts';
import type { InboundIds, InboundKey } from './inbound-ids.ts';
import type { PublishId, RecentPublishes } from './recent-publishes.ts';
import { reasonOf } from './refusals.ts';
import type { Refusals } from './refusals.ts';
import { topicProblem } from './topic.ts';

/** What this folder needs of the intake. */
export type RecordIntake = Pick<Intake, 'accept'>;

export interface PublishGateParts {
  readonly intake: RecordIntake;
  readonly inboundIds: InboundIds;
  readonly recents: RecentPublishes;
  /** What tells the client apart over its connections. */
  readonly clientKeyOf: (client: AedesClient) => string;
  readonly publishes: Counter;
  readonly refused: Refusals;
  readonly dropped: Refusals;
  readonly pendingQos0BytesMax: number;
}

/** One publish whose acknowledgement is due after those before it. */
interface Turn {
  result: { readonly error: Error | null } | null;
  readonly bytes: number;
  readonly done: Done;
}

/** What one connection has on its way to the disk. */
interface Line {
  readonly turns: Turn[];
  bytes: number;
  heldQos0: number;
}

/** From either on, a connection is not read until all it sent is durable. */
const LINE_TURNS_MAX = 1_000;
const LINE_BYTES_MAX = 1024 * 1024;

export class PublishGate {
  readonly #parts: PublishGateParts;
  readonly #lines = new WeakMap<Client, Line>();
  /** Of wills without a connection. */
  readonly #noLine: Line = emptyLine();
  /** QoS 2 publishes that repeat one that is durable: acknowledged, not published again. */
  readonly #repeats = new WeakSet<PublishPacket>();
  readonly #parked: Done[] = [];
  #pendingQos0Bytes = 0;
  #inFlight = 0;
  #isClosing = false;

  constructor(parts: PublishGateParts) {
    this.#parts = parts;
  }

  /** Publishes whose record is on its way to the disk. */
  get inFlight(): number {
    return this.#inFlight;
  }

  isRepeat(packet: PublishPacket): boolean {
    return this.#repeats.has(packet);
  }

  /** Whether the connection must wait before more of it is read. */
  isHeld(client: Client): boolean {
    const line = this.#lines.get(client);
    if (line === undefined) return false;
    return line.heldQos0 > 0 || line.bytes >= LINE_BYTES_MAX || line.turns.length >= LINE_TURNS_MAX;
  }

  /** The connection is over; orderly: the client said DISCONNECT. */
  ended(client: AedesClient, isOrderly: boolean): void {
    this.#parts.recents.ended(this.#parts.clientKeyOf(client), client, isOrderly);
  }

  /** PUBREL: the id is free for another message. */
  released(client: AedesClient, packetId: number): void {
    this.#parts.recents.release(this.#parts.clientKeyOf(client), packetId);
  }

  /** From here on nothing more is taken, wills included: what comes waits, unacknowledged, for `close`. */
  stop(): void {
    this.#isClosing = true;
  }

  /** After the connections are gone: their callbacks end, for no one to hear. */
  close(): void {
    for (const done of this.#parked.splice(0)) {
      done(new TributaryError('STORAGE_CLOSED', 'the gateway is stopping'));
    }
  }

  /** aedes' authorizePublish: wire publishes and wills. Calls `done` exactly once. */
  authorize(client: AedesClient | null, packet: PublishPacket, done: Done): void {
    if (this.#isClosing) {
      this.#parked.push(done);
      return;
    }
    const problem = topicProblem(packet.topic);
    if (problem !== null) {
      const error = new TributaryError('PROTOCOL_ERROR', problem, { details: { reason: 'topic' } });
      this.#refuse(client, packet, error);
      done(error);
      return;
    }
    this.#parts.publishes.add(1, { qos: String(packet.qos) });
    const isWill = client === null || client.will === packet;
    if (packet.qos === 0 && !isWill) this.#takeQos0(client, packet, done);
    else this.#takeInTurn(client, packet, isWill, done);
  }

  #takeInTurn(client: AedesClient | null, packet: PublishPacket, isWill: boolean, done: Done): void {
    const id = isWill || client === null ? null : this.#idOf(client, packet);
    const committing =
      id === null || client === null
        ? this.#accept(packet, patienceOf(client))
        : this.#acceptOnce(client, packet, id);
    const turn: Turn = {
      result: null,
      bytes: bytesOf(packet).length,
      done: (error) => {
        done(error);
        if (error === null && id !== null && client?.closed === false) this.#parts.recents.acknowledged(id);
      },
    };
    const line = client === null ? this.#noLine : this.#lineOf(client);
    line.turns.push(turn);
    line.bytes += turn.bytes;
    this.#inFlight += 1;
    committing.then(
      () => this.#settle(line, turn, null),
      (reason: unknown) => {
        const error = reason instanceof Error ? reason : new Error(String(reason));
        this.#refuse(client, packet, error);
        this.#settle(line, turn, error);
      },
    );
  }

  #idOf(client: AedesClient, packet: PublishPacket): PublishId | null {
    const { messageId: packetId } = packet;
    if (packetId === undefined) return null;
    const fingerprint = fingerprintOf(packet.topic, bytesOf(packet));
    return { client: this.#parts.clientKeyOf(client), packetId, fingerprint };
  }

  /**
   * Once, however often it comes. Ids of persistent sessions that are not released are rows of their own; all others
   * are noted beside their records. Without DUP it is a new message, whatever the id was used for before.
   */
  #acceptOnce(client: AedesClient, packet: PublishPacket, id: PublishId): Promise<void> {
    const inbound = { ...id, clientId: client.id };
    const earlier = packet.dup ? this.#repeated(client, packet, id, inbound) : undefined;
    if (earlier === undefined) return this.#takeNew(client, packet, id, inbound);
    this.#repeats.add(packet);
    return earlier ?? Promise.resolve();
  }

  /** A persistent session of QoS 2 knows exactly what was not released; else what was sent lately must tell. */
  #repeated(
    client: AedesClient,
    packet: PublishPacket,
    recent: PublishId,
    inbound: InboundKey,
  ): Promise<void> | null | undefined {
    const { inboundIds, recents } = this.#parts;
    const open = packet.qos === 2 ? inboundIds.repeated(inbound) : undefined;
    if (open !== undefined || (packet.qos === 2 && !client.clean)) return open;
    return recents.repeated(recent, client);
  }

  #takeNew(
    client: AedesClient,
    packet: PublishPacket,
    recent: PublishId,
    inbound: InboundKey,
  ): Promise<void> {
    const { inboundIds, recents } = this.#parts;
    const accept = (side: readonly MetaChange[]): Promise<void> =>
      recents.take(recent, client, (note) => this.#accept(packet, { side, note, ...patienceOf(client) }));
    return packet.qos === 2 ? inboundIds.take(inbound, accept) : accept([]);
  }

  #accept(packet: PublishPacket, beside: Beside): Promise<void> {
    const payload = bytesOf(packet);
    return this.#parts.intake.accept({ source: { kind: 'mqtt', name: packet.topic }, payload, ...beside });
  }

  /** Nobody waits for an acknowledgement: only a full buffer holds the connection, and a fuller one drops. */
  #takeQos0(client: AedesClient, packet: PublishPacket, done: Done): void {
    const bytes = bytesOf(packet).length;
    const max = this.#parts.pendingQos0BytesMax;
    if (this.#pendingQos0Bytes > 0 && this.#pendingQos0Bytes + bytes > max) {
      this.#parts.dropped.add('qos0_unrecorded', { topic: packet.topic, clientId: client.id });
      done();
      return;
    }
    this.#pendingQos0Bytes += bytes;
    this.#inFlight += 1;
    const isHeld = this.#pendingQos0Bytes > max / 2;
    const line = this.#lineOf(client);
    if (isHeld) line.heldQos0 += 1;
    const settled = (): void => {
      this.#pendingQos0Bytes -= bytes;
      this.#inFlight -= 1;
      if (!isHeld) return;
      line.heldQos0 -= 1;
      done();
    };
    this.#accept(packet, patienceOf(client)).then(settled, (error: unknown) => {
      this.#parts.dropped.add(reasonOf(error), { topic: packet.topic, clientId: client.id, error });
      settled();
    });
    if (!isHeld) done();
  }

  #settle(line: Line, turn: Turn, error: Error | null): void {
    turn.result = { error };
    const { turns } = line;
    for (let first = turns[0]; first !== undefined && first.result !== null; first = turns[0]) {
      turns.shift();
      line.bytes -= first.bytes;
      this.#inFlight -= 1;
      first.done(first.result.error);
    }
  }

  #lineOf(client: Client): Line {
    let line = this.#lines.get(client);
    if (line === undefined) {
      line = emptyLine();
      this.#lines.set(client, line);
    }
    return line;
  }

  #refuse(client: AedesClient | null, packet: PublishPacket, error: Error): void {
    const { topic, qos } = packet;
    this.#parts.refused.addError(error, reasonOf(error), { topic, qos, clientId: client?.id });
  }
}

/** While a publish waits, the client's PINGREQ behind it is not read: half its keepalive is what it can wait. */
function patienceOf(client: AedesClient | null): Beside {
  if (client === null || client._keepaliveInterval < 0) return {};
  return { lingerMsMax: client._keepaliveInterval / 3 };
}

function bytesOf({ payload }: PublishPacket): Uint8Array {
  return typeof payload === 'string' ? Buffer.from(payload) : payload;
}

function emptyLine(): Line {
  return { turns: [], bytes: 0, heldQos0: 0 };
}
