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
const durable = (): Promise<void> => Promise.resolve();

describe('a repeat', () => {
  it.each([NAMED, UNNAMED])('is the same content under the same id', async (client) => {
    const recents = new RecentPublishes();
    await recents.take(id(5, 'a', client), durable);
    expect(recents.repeated(id(5, 'a', client))).toBeNull();
    expect(recents.repeated(id(5, 'b', client))).toBeUndefined();
    expect(recents.repeated(id(6, 'a', client))).toBeUndefined();
  });

  it('waits for the commit of what it repeats', async () => {
    const recents = new RecentPublishes();
    let finish = (): void => undefined;
    const taking = recents.take(id(5, 'a'), () => new Promise((resolve) => (finish = resolve)));
    expect(recents.repeated(id(5, 'a'))).toBeInstanceOf(Promise);
    finish();
    await taking;
    expect(recents.repeated(id(5, 'a'))).toBeNull();
  });

  it('of a publish that failed is a new one', async () => {
    const recents = new RecentPublishes();
    await expect(recents.take(id(5, 'a'), () => Promise.reject(new Error('full')))).rejects.toThrow('full');
    expect(recents.repeated(id(5, 'a'))).toBeUndefined();
  });

  it('is known after a restart from the notes', async () => {
    const notes: Uint8Array[] = [];
    const before = new RecentPublishes();
    for (const client of [NAMED, UNNAMED]) {
      await before.take(id(7, 'x', client), (note) => {
        notes.push(note);
        return Promise.resolve();
      });
    }
    const after = new RecentPublishes();
    after.restore(Buffer.concat(notes));
    expect(after.repeated(id(7, 'x', NAMED))).toBeNull();
    expect(after.repeated(id(7, 'x', UNNAMED))).toBeNull();
    expect(after.repeated(id(7, 'x', clientKeyOf('other', '127.0.0.1')))).toBeUndefined();
  });

  it('is not assumed of a client that sends the same again under one id', async () => {
    const recents = new RecentPublishes();
    await recents.take(id(1, '21.5'), durable);
    await recents.take(id(1, '21.5'), durable);
    expect(recents.repeated(id(1, '21.5'))).toBeUndefined();
  });

  it('is not assumed of such a client after a restart either', async () => {
    const notes: Uint8Array[] = [];
    const before = new RecentPublishes();
    for (let round = 0; round < 3; round += 1) {
      await before.take(id(1, 'alive'), (note) => {
        notes.push(note);
        return Promise.resolve();
      });
    }
    const after = new RecentPublishes();
    // What is read back starts somewhere in the middle.
    after.restore(notes.at(-1) ?? new Uint8Array());
    expect(after.repeated(id(1, 'alive'))).toBeUndefined();
  });

  it('is not an older message of a client that uses an id again', async () => {
    const recents = new RecentPublishes();
    await recents.take(id(1, '21.5'), durable);
    await recents.take(id(1, '21.6'), durable);
    expect(recents.repeated(id(1, '21.5'))).toBeUndefined();
    expect(recents.repeated(id(1, '21.6'))).toBeNull();
  });

  it('of clients without a name is found though another one uses the same id', async () => {
    const recents = new RecentPublishes();
    await recents.take(id(1, 'a', UNNAMED), durable);
    await recents.take(id(1, 'b', UNNAMED), durable);
    expect(recents.repeated(id(1, 'a', UNNAMED))).toBeNull();
  });

  it('is forgotten after a thousand others: the memory is bounded', async () => {
    const recents = new RecentPublishes();
    for (let packetId = 1; packetId <= 1_001; packetId += 1) await recents.take(id(packetId, 'a'), durable);
    expect(recents.repeated(id(1, 'a'))).toBeUndefined();
    expect(recents.repeated(id(2, 'a'))).toBeNull();
  });
});
