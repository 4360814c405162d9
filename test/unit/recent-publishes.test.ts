// Goal: a repeat is known, across a restart too, and a message that only looks like one is never taken for it.
import { describe, expect, it } from 'vitest';
import { RecentPublishes, clientKeyOf } from '../../gateway/mqtt/recent-publishes.ts';

const NAMED = clientKeyOf('sensor', '127.0.0.1');
const UNNAMED = clientKeyOf('', '127.0.0.1');
const id = (packetId: number, text: string, client = NAMED) => ({
  client,
  packetId,
  fingerprint: Buffer.from(text.padEnd(16, '.')),
});
const CONNECTION = {};
const LATER = {};
let nowUs = 0n;
const durable = (): Promise<void> => Promise.resolve();

describe('a repeat', () => {
  it.each([NAMED, UNNAMED])('is the same content under the same id', async (client) => {
    const recents = new RecentPublishes(() => nowUs);
    await recents.take(id(5, 'a', client), CONNECTION, durable);
    expect(recents.repeated(id(5, 'a', client), LATER)).toBeNull();
    expect(recents.repeated(id(5, 'b', client), LATER)).toBeUndefined();
    expect(recents.repeated(id(6, 'a', client), LATER)).toBeUndefined();
  });

  it('waits for the commit of what it repeats', async () => {
    const recents = new RecentPublishes(() => nowUs);
    let finish = (): void => undefined;
    const taking = recents.take(id(5, 'a'), CONNECTION, () => new Promise((resolve) => (finish = resolve)));
    expect(recents.repeated(id(5, 'a'), LATER)).toBeInstanceOf(Promise);
    finish();
    await taking;
    expect(recents.repeated(id(5, 'a'), LATER)).toBeNull();
  });

  it('of a publish that failed is a new one', async () => {
    const recents = new RecentPublishes(() => nowUs);
    await expect(
      recents.take(id(5, 'a'), CONNECTION, () => Promise.reject(new Error('full'))),
    ).rejects.toThrow('full');
    expect(recents.repeated(id(5, 'a'), LATER)).toBeUndefined();
  });

  it('is known after a restart from the notes', async () => {
    const notes: Uint8Array[] = [];
    const before = new RecentPublishes(() => nowUs);
    for (const client of [NAMED, UNNAMED]) {
      await before.take(id(7, 'x', client), CONNECTION, (note) => {
        notes.push(note);
        return Promise.resolve();
      });
    }
    const after = new RecentPublishes(() => nowUs);
    after.restore(Buffer.concat(notes));
    expect(after.repeated(id(7, 'x', NAMED), LATER)).toBeNull();
    expect(after.repeated(id(7, 'x', UNNAMED), LATER)).toBeNull();
    expect(after.repeated(id(7, 'x', clientKeyOf('other', '127.0.0.1')), LATER)).toBeUndefined();
  });

  it('is not assumed of a client that sends the same again under one id', async () => {
    const recents = new RecentPublishes(() => nowUs);
    await recents.take(id(1, '21.5'), CONNECTION, durable);
    await recents.take(id(1, '21.5'), CONNECTION, durable);
    expect(recents.repeated(id(1, '21.5'), LATER)).toBeUndefined();
  });

  it('is not assumed of such a client after a restart either', async () => {
    const notes: Uint8Array[] = [];
    const before = new RecentPublishes(() => nowUs);
    for (let round = 0; round < 3; round += 1) {
      await before.take(id(1, 'alive'), CONNECTION, (note) => {
        notes.push(note);
        return Promise.resolve();
      });
    }
    const after = new RecentPublishes(() => nowUs);
    // What is read back starts somewhere in the middle.
    after.restore(notes.at(-1) ?? new Uint8Array());
    expect(after.repeated(id(1, 'alive'), LATER)).toBeUndefined();
  });

  it('is not an older message of a client that uses an id again', async () => {
    const recents = new RecentPublishes(() => nowUs);
    await recents.take(id(1, '21.5'), CONNECTION, durable);
    await recents.take(id(1, '21.6'), CONNECTION, durable);
    expect(recents.repeated(id(1, '21.5'), LATER)).toBeUndefined();
    expect(recents.repeated(id(1, '21.6'), LATER)).toBeNull();
  });

  it('of clients without a name is found though another one uses the same id', async () => {
    const recents = new RecentPublishes(() => nowUs);
    await recents.take(id(1, 'a', UNNAMED), CONNECTION, durable);
    await recents.take(id(1, 'b', UNNAMED), CONNECTION, durable);
    expect(recents.repeated(id(1, 'a', UNNAMED), LATER)).toBeNull();
  });

  it('is forgotten after a thousand others: the memory is bounded', async () => {
    const recents = new RecentPublishes(() => nowUs);
    for (let packetId = 1; packetId <= 1_001; packetId += 1)
      await recents.take(id(packetId, 'a'), CONNECTION, durable);
    expect(recents.repeated(id(1, 'a'), LATER)).toBeUndefined();
    expect(recents.repeated(id(2, 'a'), LATER)).toBeNull();
  });
});

describe('a publish is remembered while its acknowledgement may be missing', () => {
  const MINUTE_US = 60_000_000n;
  const taken = async (client: string): Promise<RecentPublishes> => {
    nowUs = 0n;
    const recents = new RecentPublishes(() => nowUs);
    await recents.take(id(1, 'OPEN', client), CONNECTION, durable);
    recents.acknowledged(id(1, 'OPEN', client));
    return recents;
  };

  it.each([NAMED, UNNAMED])(
    'until the client says DISCONNECT: then the same again is a new message',
    async (client) => {
      const recents = await taken(client);
      recents.ended(client, CONNECTION, true);
      expect(recents.repeated(id(1, 'OPEN', client), LATER)).toBeUndefined();
    },
  );

  it.each([NAMED, UNNAMED])('for ten minutes after the connection broke', async (client) => {
    const recents = await taken(client);
    recents.ended(client, CONNECTION, false);
    nowUs = 9n * MINUTE_US;
    expect(recents.repeated(id(1, 'OPEN', client), LATER)).toBeNull();
    recents.ended(client, LATER, false);
    nowUs = 20n * MINUTE_US;
    expect(recents.repeated(id(1, 'OPEN', client), {})).toBeUndefined();
  });

  it('though the client says DISCONNECT before it was acknowledged', async () => {
    const recents = new RecentPublishes(() => nowUs);
    await recents.take(id(1, 'OPEN'), CONNECTION, durable);
    recents.ended(NAMED, CONNECTION, true);
    expect(recents.repeated(id(1, 'OPEN'), LATER)).toBeNull();
  });

  it('though another client without an id says DISCONNECT', async () => {
    const recents = await taken(UNNAMED);
    const other = {};
    await recents.take(id(1, 'other', UNNAMED), other, durable);
    recents.acknowledged(id(1, 'other', UNNAMED));
    recents.ended(UNNAMED, other, true);
    expect(recents.repeated(id(1, 'OPEN', UNNAMED), LATER)).toBeNull();
    expect(recents.repeated(id(1, 'other', UNNAMED), LATER)).toBeUndefined();
  });

  it('for ten minutes after a restart', async () => {
    const notes: Uint8Array[] = [];
    const before = new RecentPublishes(() => nowUs);
    await before.take(id(1, 'OPEN'), CONNECTION, (note) => {
      notes.push(note);
      return Promise.resolve();
    });
    nowUs = 0n;
    const after = new RecentPublishes(() => nowUs);
    after.restore(Buffer.concat(notes));
    nowUs = 11n * MINUTE_US;
    expect(after.repeated(id(1, 'OPEN'), LATER)).toBeUndefined();
  });

  it('of 2,000 clients without an id at one address', async () => {
    const recents = new RecentPublishes(() => nowUs);
    for (let client = 0; client < 2_000; client += 1) {
      for (let packetId = 1; packetId <= 20; packetId += 1) {
        await recents.take(id(packetId, `c${client}`, UNNAMED), CONNECTION, durable);
      }
    }
    expect(recents.repeated(id(1, 'c0', UNNAMED), LATER)).toBeNull();
  });
});
