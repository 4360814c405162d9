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
const CLIENTS_MAX = 10_000;
const CLIENT_BYTES = 8;
const FINGERPRINT_BYTES = 8;
/** Client, packet id, fingerprint. */
const NOTE_BYTES = CLIENT_BYTES + 2 + FINGERPRINT_BYTES;
const NAMED = 'n';
const UNNAMED = 'u';

/** A client without an id of its own is known by where it comes from. */
export function clientKeyOf(clientId: string, remoteAddress: string): string {
  const isNamed = clientId !== '';
  const name = isNamed ? `client\0${clientId}` : `address\0${remoteAddress}`;
  const hash = createHash('sha256').update(name).digest().subarray(0, CLIENT_BYTES);
  // The top bit of the first byte says which, so that notes are self-contained.
  hash[0] = isNamed ? (hash[0] ?? 0) | 0x80 : (hash[0] ?? 0) & 0x7f;
  return (isNamed ? NAMED : UNNAMED) + hash.toString('hex');
}

export class RecentPublishes {
  readonly #clients = new Map<string, ClientRecents>();

  /** Remembers what was noted beside the newest blocks, oldest first. */
  restore(notes: Uint8Array): void {
    const bytes = Buffer.from(notes.buffer, notes.byteOffset, notes.byteLength);
    for (let at = 0; at + NOTE_BYTES <= bytes.length; at += NOTE_BYTES) {
      const isNamed = ((bytes[at] ?? 0) & 0x80) !== 0;
      const client = (isNamed ? NAMED : UNNAMED) + bytes.toString('hex', at, at + CLIENT_BYTES);
      const packetId = bytes.readUInt16BE(at + CLIENT_BYTES);
      const fingerprint = bytes.subarray(at + CLIENT_BYTES + 2, at + NOTE_BYTES);
      this.#remember({ client, packetId, fingerprint }, null);
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
    const committing = commit(noteOf(id));
    const recent = this.#remember(id, committing);
    try {
      await committing;
      recent.commit = null;
    } catch (error) {
      const publishes = this.#clients.get(id.client)?.publishes;
      if (publishes?.get(keyOf(id)) === recent) publishes.delete(keyOf(id));
      throw error;
    }
  }

  /** The client has finished with the id. Of clients without an id nobody knows which one has. */
  release(client: string, packetId: number): void {
    if (client.startsWith(NAMED)) this.#clients.get(client)?.publishes.delete(String(packetId));
  }

  #remember(id: PublishId, commit: Promise<void> | null): Recent {
    const client = this.#clientOf(id.client);
    const key = keyOf(id);
    const recent = { fingerprint: textOf(id.fingerprint), commit };
    if (client.publishes.get(key)?.fingerprint === recent.fingerprint) client.repeatsItself = true;
    client.publishes.delete(key);
    client.publishes.set(key, recent);
    dropOldest(client.publishes, PUBLISHES_MAX);
    return recent;
  }

  #clientOf(key: string): ClientRecents {
    const known = this.#clients.get(key);
    const client = known ?? { publishes: new Map<string, Recent>(), repeatsItself: false };
    // Last used last.
    if (known !== undefined) this.#clients.delete(key);
    this.#clients.set(key, client);
    dropOldest(this.#clients, CLIENTS_MAX);
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

function noteOf({ client, packetId, fingerprint }: PublishId): Uint8Array {
  const note = Buffer.alloc(NOTE_BYTES);
  note.write(client.slice(1), 0, 'hex');
  note.writeUInt16BE(packetId, CLIENT_BYTES);
  note.set(fingerprint.subarray(0, FINGERPRINT_BYTES), CLIENT_BYTES + 2);
  return note;
}

function dropOldest(map: Map<string, unknown>, max: number): void {
  if (map.size <= max) return;
  const oldest = map.keys().next();
  if (oldest.done !== true) map.delete(oldest.value);
}
