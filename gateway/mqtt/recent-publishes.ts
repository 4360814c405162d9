// Publishes of QoS 1 and 2 whose acknowledgement the client may not have got: what tells a repeat from a new message.
// Each is noted beside its record in the same commit, so that a repeat after a crash is known too.
//
// MQTT cannot tell a repeat from a new message with the same id and the same content whose first transmission was lost.
// So a publish is remembered only while its acknowledgement may be missing: until the client says DISCONNECT, and for
// REPEAT_MS after a connection that broke. And a client that was seen to send the same content twice under one id is not
// trusted with it at all: its repeats become records again, for nothing may be lost.
import { createHash } from 'node:crypto';

export interface PublishId {
  /** From clientKeyOf. */
  readonly client: string;
  readonly packetId: number;
  /** Of topic and payload, at least 8 bytes. */
  readonly fingerprint: Uint8Array;
}

interface Recent {
  readonly key: string;
  readonly fingerprint: string;
  /** Settles with the commit of its record; null once that is durable. */
  commit: Promise<void> | null;
  /** Where it came last; null: before this start. */
  connection: object | null;
  isAcknowledged: boolean;
  /** Set when its connection broke. */
  forgetAtUs: bigint | null;
}

interface ClientRecents {
  /** Oldest first. */
  readonly publishes: Map<string, Recent>;
  /** The same content came twice under one id, and neither was a repeat. */
  repeatsItself: boolean;
}

/** More than any client has under way. */
const PUBLISHES_MAX = 1_000;
/** Of all clients, and of those without an id at one address; those not heard of for longest are forgotten first. */
const ALL_PUBLISHES_MAX = 100_000;
/** A client comes back within this time, or its next message is a new one whatever it looks like. */
const REPEAT_MS = 10 * 60_000;
const CLIENT_BYTES = 8;
const FINGERPRINT_BYTES = 8;
/** Client, packet id, fingerprint. */
const NOTE_BYTES = CLIENT_BYTES + 2 + FINGERPRINT_BYTES;
/** In the first byte of a note. */
const NAMED_BIT = 0x80;
const REPEATS_BIT = 0x40;
const NAMED = 'n';
const UNNAMED = 'u';

/** A client without an id of its own is known by where it comes from. */
export function clientKeyOf(clientId: string, remoteAddress: string): string {
  const isNamed = clientId !== '';
  const name = isNamed ? `client\0${clientId}` : `address\0${remoteAddress}`;
  const hash = createHash('sha256').update(name).digest().subarray(0, CLIENT_BYTES);
  // The top bits say which, and leave room for the flag of a note.
  hash[0] = ((hash[0] ?? 0) & ~(NAMED_BIT | REPEATS_BIT)) | (isNamed ? NAMED_BIT : 0);
  return (isNamed ? NAMED : UNNAMED) + hash.toString('hex');
}

export class RecentPublishes {
  readonly #clients = new Map<string, ClientRecents>();
  readonly #nowUs: () => bigint;
  /** Publishes of all clients. */
  #count = 0;

  /** `nowUs`: a monotonic clock. */
  constructor(nowUs: () => bigint) {
    this.#nowUs = nowUs;
  }

  /** Remembers what was noted beside the newest blocks, oldest first. */
  restore(notes: Uint8Array): void {
    const bytes = Buffer.from(notes.buffer, notes.byteOffset, notes.byteLength);
    for (let at = 0; at + NOTE_BYTES <= bytes.length; at += NOTE_BYTES) {
      const flags = bytes[at] ?? 0;
      const hash = Buffer.from(bytes.subarray(at, at + CLIENT_BYTES));
      hash[0] = flags & ~REPEATS_BIT;
      const client = ((flags & NAMED_BIT) === 0 ? UNNAMED : NAMED) + hash.toString('hex');
      const packetId = bytes.readUInt16BE(at + CLIENT_BYTES);
      const fingerprint = bytes.subarray(at + CLIENT_BYTES + 2, at + NOTE_BYTES);
      const recent = this.#remember({ client, packetId, fingerprint }, null, null);
      recent.forgetAtUs = this.#repeatsEndUs();
      if ((flags & REPEATS_BIT) !== 0) this.#clientOf(client).repeatsItself = true;
    }
  }

  /** The commit of the very message this one repeats; null when it is durable, undefined when it is a new one. */
  repeated(id: PublishId, connection: object): Promise<void> | null | undefined {
    const client = this.#clients.get(id.client);
    if (client === undefined || client.repeatsItself) return undefined;
    const recent = client.publishes.get(keyOf(id));
    if (recent === undefined || recent.fingerprint !== textOf(id.fingerprint)) return undefined;
    if (recent.forgetAtUs !== null && recent.forgetAtUs < this.#nowUs()) return undefined;
    recent.connection = connection;
    recent.isAcknowledged = false;
    recent.forgetAtUs = null;
    return recent.commit;
  }

  /** Makes a new message durable with its note. `commit` is called at once. One that failed is forgotten. */
  async take(id: PublishId, connection: object, commit: (note: Uint8Array) => Promise<void>): Promise<void> {
    const client = this.#clientOf(id.client);
    if (client.publishes.get(keyOf(id))?.fingerprint === textOf(id.fingerprint)) client.repeatsItself = true;
    const committing = commit(noteOf(id, client.repeatsItself));
    const recent = this.#remember(id, connection, committing);
    try {
      await committing;
      recent.commit = null;
    } catch (error) {
      this.#drop(id.client, recent);
      throw error;
    }
  }

  /** PUBACK or PUBREC has been written. */
  acknowledged(id: PublishId): void {
    const recent = this.#clients.get(id.client)?.publishes.get(keyOf(id));
    if (recent?.fingerprint === textOf(id.fingerprint)) recent.isAcknowledged = true;
  }

  /**
   * The connection is over. After DISCONNECT the client has what was acknowledged; what broke off may be repeated for a
   * while.
   */
  ended(client: string, connection: object, isOrderly: boolean): void {
    for (const recent of this.#clients.get(client)?.publishes.values() ?? []) {
      if (recent.connection !== connection && (!isOrderly || client.startsWith(UNNAMED))) continue;
      if (isOrderly && recent.isAcknowledged) this.#drop(client, recent);
      else recent.forgetAtUs ??= this.#repeatsEndUs();
    }
  }

  /** The client has finished with the id. Of clients without an id nobody knows which one has. */
  release(client: string, packetId: number): void {
    const recent = client.startsWith(NAMED)
      ? this.#clients.get(client)?.publishes.get(String(packetId))
      : undefined;
    if (recent !== undefined) this.#drop(client, recent);
  }

  #repeatsEndUs(): bigint {
    return this.#nowUs() + BigInt(REPEAT_MS) * 1_000n;
  }

  #remember(id: PublishId, connection: object | null, commit: Promise<void> | null): Recent {
    const client = this.#clientOf(id.client);
    const key = keyOf(id);
    const fingerprint = textOf(id.fingerprint);
    const recent = { key, fingerprint, commit, connection, isAcknowledged: false, forgetAtUs: null };
    if (!client.publishes.delete(key)) this.#count += 1;
    client.publishes.set(key, recent);
    const max = id.client.startsWith(NAMED) ? PUBLISHES_MAX : ALL_PUBLISHES_MAX;
    if (client.publishes.size > max) this.#forget(client, 1);
    for (const [oldestKey, oldest] of this.#clients) {
      if (this.#count <= ALL_PUBLISHES_MAX) break;
      this.#forget(oldest, this.#count - ALL_PUBLISHES_MAX);
      if (oldest.publishes.size === 0) this.#clients.delete(oldestKey);
    }
    return recent;
  }

  #drop(client: string, recent: Recent): void {
    const publishes = this.#clients.get(client)?.publishes;
    if (publishes?.get(recent.key) !== recent) return;
    publishes.delete(recent.key);
    this.#count -= 1;
  }

  /** The client's oldest ones. */
  #forget(client: ClientRecents, count: number): void {
    let left = count;
    for (const key of client.publishes.keys()) {
      if (left === 0) return;
      client.publishes.delete(key);
      this.#count -= 1;
      left -= 1;
    }
  }

  #clientOf(key: string): ClientRecents {
    const known = this.#clients.get(key);
    const client = known ?? { publishes: new Map<string, Recent>(), repeatsItself: false };
    // Last used last.
    if (known !== undefined) this.#clients.delete(key);
    this.#clients.set(key, client);
    return client;
  }
}

/** Clients without a name share an address and may use the same ids at the same time. */
function keyOf({ client, packetId, fingerprint }: PublishId): string {
  return client.startsWith(NAMED) ? String(packetId) : `${packetId}/${textOf(fingerprint)}`;
}

function textOf(fingerprint: Uint8Array): string {
  return Buffer.from(fingerprint.buffer, fingerprint.byteOffset, FINGERPRINT_BYTES).toString('latin1');
}

function noteOf({ client, packetId, fingerprint }: PublishId, repeatsItself: boolean): Uint8Array {
  const note = Buffer.alloc(NOTE_BYTES);
  note.write(client.slice(1), 0, 'hex');
  if (repeatsItself) note[0] = (note[0] ?? 0) | REPEATS_BIT;
  note.writeUInt16BE(packetId, CLIENT_BYTES);
  note.set(fingerprint.subarray(0, FINGERPRINT_BYTES), CLIENT_BYTES + 2);
  return note;
}
