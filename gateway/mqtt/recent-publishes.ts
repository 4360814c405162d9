// Publishes of QoS 1 and 2 whose acknowledgement the client may not have got: what tells a repeat from a new message.
// Each is noted beside its record in the same commit, so that a repeat after a crash is known too.
//
// MQTT cannot tell a repeat from a new message with the same id and the same content when the one before was lost on
// its way in. Clients count their ids up, so such a message is a repeat. A client that was seen to send the same
// content twice under one id is not trusted with that: its repeats become records again, for nothing may be lost.
import { createHash } from 'node:crypto';

export interface PublishId {
  /** From clientKeyOf. */
  readonly client: string;
  readonly packetId: number;
  /** Of topic and payload, at least 8 bytes. */
  readonly fingerprint: Uint8Array;
}

interface Recent {
  readonly fingerprint: string;
  /** Settles with the commit of its record; null once that is durable. */
  commit: Promise<void> | null;
}

interface ClientRecents {
  /** Oldest first. */
  readonly publishes: Map<string, Recent>;
  /** The same content came twice under one id, and neither was a repeat. */
  repeatsItself: boolean;
}

/** More than any client has under way. */
const PUBLISHES_MAX = 1_000;
/** Of all clients; those not heard of for longest are forgotten first. */
const ALL_PUBLISHES_MAX = 100_000;
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
  /** Publishes of all clients. */
  #count = 0;

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
      this.#remember({ client, packetId, fingerprint }, null);
      if ((flags & REPEATS_BIT) !== 0) this.#clientOf(client).repeatsItself = true;
    }
  }

  /** The commit of the very message this one repeats; null when it is durable, undefined when it is a new one. */
  repeated(id: PublishId): Promise<void> | null | undefined {
    const client = this.#clients.get(id.client);
    if (client === undefined || client.repeatsItself) return undefined;
    const recent = client.publishes.get(keyOf(id));
    return recent?.fingerprint === textOf(id.fingerprint) ? recent.commit : undefined;
  }

  /** Makes a new message durable with its note. `commit` is called at once. One that failed is forgotten. */
  async take(id: PublishId, commit: (note: Uint8Array) => Promise<void>): Promise<void> {
    const client = this.#clientOf(id.client);
    if (client.publishes.get(keyOf(id))?.fingerprint === textOf(id.fingerprint)) client.repeatsItself = true;
    const committing = commit(noteOf(id, client.repeatsItself));
    const recent = this.#remember(id, committing);
    try {
      await committing;
      recent.commit = null;
    } catch (error) {
      const publishes = this.#clients.get(id.client)?.publishes;
      if (publishes?.get(keyOf(id)) === recent && publishes.delete(keyOf(id))) this.#count -= 1;
      throw error;
    }
  }

  /** The client has finished with the id. Of clients without an id nobody knows which one has. */
  release(client: string, packetId: number): void {
    if (!client.startsWith(NAMED)) return;
    if (this.#clients.get(client)?.publishes.delete(String(packetId)) === true) this.#count -= 1;
  }

  #remember(id: PublishId, commit: Promise<void> | null): Recent {
    const client = this.#clientOf(id.client);
    const key = keyOf(id);
    const recent = { fingerprint: textOf(id.fingerprint), commit };
    if (!client.publishes.delete(key)) this.#count += 1;
    client.publishes.set(key, recent);
    if (client.publishes.size > PUBLISHES_MAX) this.#forget(client, 1);
    for (const [oldestKey, oldest] of this.#clients) {
      if (this.#count <= ALL_PUBLISHES_MAX) break;
      this.#forget(oldest, this.#count - ALL_PUBLISHES_MAX);
      if (oldest.publishes.size === 0) this.#clients.delete(oldestKey);
    }
    return recent;
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
