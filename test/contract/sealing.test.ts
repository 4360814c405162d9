// Goal: what is sealed is told by nobody without its key, opened by nobody where it does not belong, and a key that is
// missing or wrong changes nothing. Method: real files, read byte by byte.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isTributaryError } from '../../stream/errors.ts';
import { START_POSITION } from '../../stream/position.ts';
import type { Store } from '../../stream/ports.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { localMasterKey, openMasterKey } from '../../runtime/master-key.ts';
import type { KeySetting } from '../../runtime/master-key.ts';
import {
  KEYS_PREFIX,
  SECRETS_KEY,
  blockKeyName,
  decodeKeyRow,
  encodeKeyRow,
} from '../../storage/seal/key-table.ts';
import { KEY_USES_MAX, Keyring, USES_AT_ONCE } from '../../storage/seal/keyring.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import { salvageStore } from '../../storage/salvage/salvage.ts';
import { rotateKeyFile, rotateTo } from '../../storage/seal/rotate-keys.ts';
import { sealStore } from '../../storage/seal/seal-store.ts';
import { SEAL_BYTES, checkSealed, isSealed, openBlock, sealBlock } from '../../storage/seal/sealed-block.ts';
import { FOLDER_KEY, Vault, nextKeyFile } from '../../storage/seal/vault.ts';
import { verifyFolder } from '../../storage/verify/verify.ts';
import { FRAME, blockOf, record } from '../blocks.ts';
import { ManualClock, REF, allBlocks, block, hex, laneBlock, outcome } from './engines.ts';

const OTHER = { streamId: 'other', shardId: REF.shardId };
const MARKER = 'the-secret-temperature-is-451';
/** Key 7 of 32 bytes of 1, in the shard REF. */
const OF_VERSION_1 =
  'VFJTMaeAPuoBAAAAnQAAAAEAAAAHAAAACRsFSD9E7dYUZUkNAAECAwQFBgcICQoLDA0OD46vdkQBtDPw2DjWSw0bup6BxOpr7vw5' +
  '+A14/wEIHrKNIB7HBK6HoY0sldT3u5+et3fdxhqZcuoqse4O1Tx0fN69pz8ocqpast5BCaLeFW7Quvs3Bel2dlntbQ+EZMHYUj/J' +
  'CleS3NA+kA==';
const clock = new ManualClock();

let folder = '';
let open: Store | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-seal-'));
});
afterEach(async () => {
  await close();
  rmSync(folder, { recursive: true, force: true });
});

const storeFile = () => join(folder, 'server.mdb');
const keyFile = () => join(folder, 'server.key');
const code = (value: string) => expect.objectContaining({ code: value });

function vaultOf(sealWith: KeySetting | null, env: Record<string, string> = {}): Vault {
  const store = { storeFile: storeFile(), lastResort: 'start anew' };
  return Vault.open({
    sealWith,
    secretsPrefix: 'secret/',
    places: { keyFile: keyFile(), env },
    store,
    clock,
  });
}

interface Opened {
  readonly store: Store;
  readonly disk: Store;
  readonly vault: Vault;
  readonly secret: Uint8Array;
}

/** As a program does; `secret` is a value that was sealed at the first opening. */
async function openSealed(sealWith: KeySetting | null, env: Record<string, string> = {}): Promise<Opened> {
  const vault = vaultOf(sealWith, env);
  const disk = await openLmdbStore({ path: storeFile(), clock, admit: vault.admit });
  open = disk;
  const sealer = await vault.attach(disk.meta);
  const known = await disk.meta.get('secret/a');
  if (known === null) await disk.meta.put('secret/a', sealer.seal(Buffer.from('a'), 'secret/a'), 'absent');
  const entry = await disk.meta.get('secret/a');
  const secret = sealer.open(entry?.value ?? new Uint8Array(), 'secret/a');
  await disk.log.createShard(REF, { retentionMs: Infinity, streamName: 'stream' });
  return { store: sealStore(disk, vault.keyring, nodeDigest), disk, vault, secret };
}

async function close(): Promise<void> {
  await open?.close();
  open = null;
}

async function isSealedLog(disk: Store): Promise<boolean[]> {
  const { blocks } = await disk.log.readBlocks(REF, START_POSITION, { blocks: 100, bytes: 1e9 });
  return blocks.map((stored) => isSealed(stored.block));
}

/** Counts uses when the test says so. */
class HeldKeyring extends Keyring {
  #told: (() => void) | null = null;

  override refill(): Promise<void> {
    return new Promise((resolve) => {
      this.#told = resolve;
    });
  }

  async release<T>(act: () => Promise<T>): Promise<T> {
    await super.refill();
    this.#told?.();
    return act();
  }
}

describe('a sealed block', () => {
  const key = { id: 7, key: randomBytes(32) };
  const plain = blockOf([record('device', MARKER)]);
  const find = () => key.key;
  const sealed = () => sealBlock(plain, 1, REF, key, nodeDigest);

  it('opens to what it was, and never looks the same twice', () => {
    expect(openBlock(sealed(), REF, find, nodeDigest)).toEqual(Buffer.from(plain));
    expect(sealed().length).toBe(plain.length + SEAL_BYTES);
    expect(hex(sealed())).not.toBe(hex(sealed()));
    expect(Buffer.from(sealed()).includes(MARKER)).toBe(false);
  });

  it('is proved whole without its key: every flipped bit is found', () => {
    const whole = sealed();
    expect(checkSealed(whole, nodeDigest)).toEqual({
      keyId: 7,
      recordCount: 1,
      blockId: FRAME.blockId,
      class: FRAME.class,
      firstOrdinal: FRAME.firstOrdinal,
    });
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const flipped = Uint8Array.from(whole);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => checkSealed(flipped, nodeDigest), `bit ${bit}`).toThrow(/sealed block/);
    }
    for (const length of [0, 3, SEAL_BYTES, whole.length - 1]) {
      expect(() => checkSealed(whole.subarray(0, length), nodeDigest)).toThrow(code('BLOCK_MALFORMED'));
    }
  });

  it('does not open after any change, though its checksum is right', () => {
    const whole = sealed();
    for (let at = 8; at < whole.length; at += 1) {
      const forged = Buffer.from(whole);
      forged[at] = (forged[at] ?? 0) ^ 1;
      forged.writeUInt32LE(nodeDigest.crc32(forged.subarray(8)), 4);
      expect(() => openBlock(forged, REF, find, nodeDigest), `byte ${at}`).toThrow(/sealed block/);
    }
  });

  it('does not open in another shard, nor with the insides of another block', () => {
    const whole = sealed();
    for (const ref of [
      OTHER,
      { ...REF, shardId: 'x' },
      { streamId: `${REF.streamId}s`, shardId: REF.shardId.slice(1) },
    ]) {
      expect(() => openBlock(whole, ref, find, nodeDigest)).toThrow(code('BLOCK_CHECKSUM'));
    }
    const swapped = Buffer.from(sealed());
    swapped.set(whole.subarray(60), 60);
    swapped.writeUInt32LE(nodeDigest.crc32(swapped.subarray(8)), 4);
    expect(() => openBlock(swapped, REF, find, nodeDigest)).toThrow(code('BLOCK_CHECKSUM'));
  });

  it('opens when it is of version 1, which does not say where it belongs in its lane', () => {
    const old = Buffer.from(OF_VERSION_1, 'base64');
    const { class: recordClass, firstOrdinal, blockId } = checkSealed(old, nodeDigest);
    expect([recordClass, firstOrdinal, hex(blockId)]).toEqual([null, null, hex(FRAME.blockId)]);
    const find1 = () => Buffer.alloc(32, 1);
    const frame = { class: 'alarm', firstOrdinal: 42n } as const;
    expect(hex(openBlock(old, REF, find1, nodeDigest))).toBe(hex(blockOf([record('k', 'old')], frame)));
  });
});

describe('a sealed store', () => {
  it('holds nothing in the clear, and can be verified without the key', async () => {
    for (const [sealWith, isReadable] of [
      [null, true],
      [FOLDER_KEY, false],
    ] as const) {
      const { store } = await openSealed(sealWith);
      const input = { block: blockOf([record(`${MARKER}-key`, MARKER)]), recordCount: 1 };
      await store.log.append(REF, input);
      expect(await allBlocks(store.log, REF)).toEqual([hex(input.block)]);
      await close();
      expect(readFileSync(storeFile()).includes(MARKER)).toBe(isReadable);
      expect(await verifyFolder(folder)).toMatchObject({ ok: true, records: 1 });
      rmSync(keyFile());
      expect(await verifyFolder(folder)).toMatchObject({ ok: true, records: 1 });
      rmSync(storeFile());
    }
  });

  it('keeps blocks of version 1 when it is salvaged', async () => {
    const disk = await openLmdbStore({ path: storeFile(), clock });
    await disk.log.createShard(REF, { retentionMs: Infinity });
    const lane = { lane: 'gateway/stream/alarm/1', first: 42n, last: 42n, after: 41n, tag: new Uint8Array() };
    const old = Buffer.from(OF_VERSION_1, 'base64');
    await disk.log.append(REF, { block: old, recordCount: 1, lane });
    await disk.close();
    const targetPath = join(folder, 'salvaged.mdb');
    const options = { damagedPath: storeFile(), targetPath, layout: 'shared', wallMs: clock.ms } as const;
    expect(await salvageStore(options)).toMatchObject({ records: 1, lostRecords: 0 });
    const salvaged = await openLmdbStore({ path: targetPath, clock });
    expect(await allBlocks(salvaged.log, REF)).toEqual([hex(old)]);
    expect(await salvaged.log.lane(REF, lane.lane)).toMatchObject({ last: 42n });
    await salvaged.close();
  });

  it('is told as damaged when a byte of it is', async () => {
    const { store } = await openSealed(FOLDER_KEY);
    for (const name of ['a', 'b'])
      await store.log.append(REF, { block: blockOf([record('k', name.repeat(3_000))]), recordCount: 1 });
    const pages = await store.log.readBlocks(REF, START_POSITION, { blocks: 9, bytes: 1e9 });
    await close();
    const file = readFileSync(storeFile());
    const at = file.indexOf('TRS1');
    file[at + 1_000] = (file[at + 1_000] ?? 0) ^ 4;
    writeFileSync(storeFile(), file);
    const { ok, damage } = await verifyFolder(folder);
    expect(ok).toBe(false);
    expect(damage).toEqual([
      expect.objectContaining({ kind: 'block-damaged', shard: `${REF.streamId}/${REF.shardId}` }),
    ]);
    const again = await openSealed(FOLDER_KEY);
    const { blocks } = await again.store.log.readBlocks(REF, START_POSITION, { blocks: 9, bytes: 1e9 });
    const read = blocks.map((stored) => {
      try {
        return hex(stored.block);
      } catch (error) {
        return isTributaryError(error) ? error.code : 'another error';
      }
    });
    // The one damaged block stops its reader; its neighbour and its own counts can be read.
    expect(read.toSorted()).toEqual(
      [...read.filter((one) => one !== 'BLOCK_CHECKSUM'), 'BLOCK_CHECKSUM'].toSorted(),
    );
    expect(read).toHaveLength(2);
    expect(blocks.map(({ storedBytes }) => storedBytes)).toEqual(
      pages.blocks.map(({ storedBytes }) => storedBytes),
    );
  });

  it('may be switched on and off: sealed and plain blocks stand in one log', async () => {
    const inputs = [null, FOLDER_KEY, null, FOLDER_KEY].map((_, index) => block(2, `block ${index}`));
    for (const [index, sealWith] of [null, FOLDER_KEY, null, FOLDER_KEY].entries()) {
      const { store } = await openSealed(sealWith);
      const input = inputs[index];
      if (input !== undefined) await store.log.append(REF, input);
      expect(await allBlocks(store.log, REF)).toEqual(
        inputs.slice(0, index + 1).map((one) => hex(one.block)),
      );
      await close();
    }
    const { disk } = await openSealed(null);
    expect(await isSealedLog(disk)).toEqual([false, true, false, true]);
  });

  it('follows its tail as the engine does', async () => {
    const { store } = await openSealed(FOLDER_KEY);
    const input = block(3, 'tail');
    await store.log.append(REF, input);
    await store.log.closeShard(REF);
    const seen: string[] = [];
    for await (const page of store.log.tail(REF, START_POSITION, new AbortController().signal))
      seen.push(...page.blocks.map((stored) => hex(stored.block)));
    expect(seen).toEqual([hex(input.block)]);
  });
});

describe('keys', () => {
  const env = (name: string, key: Uint8Array) => {
    writeFileSync(join(folder, name), key);
    return { CREDENTIALS_DIRECTORY: folder };
  };

  async function refusal(sealWith: KeySetting | null, more: Record<string, string> = {}): Promise<unknown> {
    const before = readFileSync(storeFile());
    const error: unknown = await openSealed(sealWith, more).then(
      () => null,
      (failure: unknown) => failure,
    );
    await close();
    expect(readFileSync(storeFile()).equals(before)).toBe(true);
    return error;
  }

  it('that are wrong or missing are told, and nothing is changed', async () => {
    const { store } = await openSealed(FOLDER_KEY);
    await store.log.append(REF, block(1, 'a'));
    await close();
    const key = readFileSync(keyFile());
    writeFileSync(keyFile(), randomBytes(32));
    for (const sealWith of [FOLDER_KEY, null]) {
      const error = await refusal(sealWith);
      expect(error).toEqual(code('KEY_INVALID'));
      expect(String(error)).toMatch(/server\.key is not the key of this store.*restore the right key/);
    }
    rmSync(keyFile());
    for (const sealWith of [FOLDER_KEY, null]) {
      const error = await refusal(sealWith);
      expect(error).toEqual(code('KEY_INVALID'));
      expect(String(error)).toMatch(/server\.key is missing.*restore it from its backup/);
    }
    expect(existsSync(keyFile())).toBe(false);
    writeFileSync(keyFile(), key, { mode: 0o600 });
    const { store: again } = await openSealed(FOLDER_KEY);
    expect(await allBlocks(again.log, REF)).toEqual([hex(block(1, 'a').block)]);
  });

  it('of secrets alone are known to be wrong, too', async () => {
    await openSealed(null);
    await close();
    writeFileSync(keyFile(), randomBytes(32));
    expect(String(await refusal(null))).toMatch(
      /does not open this value; is it the key file of this data folder/,
    );
  });

  it('are waited for in order: no block overtakes one that waits for the first key', async () => {
    const disk = await openMemoryStore({ clock });
    await disk.log.createShard(REF, { retentionMs: Infinity });
    const ring = new HeldKeyring(clock);
    ring.startSealing(disk.meta, localMasterKey(randomBytes(32), FOLDER_KEY));
    const { log } = sealStore(disk, ring, nodeDigest);
    const append = (ordinal: bigint) => log.append(REF, laneBlock('l', ordinal, ordinal));
    const first = append(1n);
    // There is a key now, and the one that waits for it has not been told yet.
    const second = await ring.release(() => append(2n));
    expect(await outcome(first)).toMatchObject({ duplicate: false });
    expect(second).toMatchObject({ duplicate: false });
    expect(await log.lane(REF, 'l')).toMatchObject({ last: 2n });
  });

  it('move between providers without rewriting a block or a secret', async () => {
    const credential: KeySetting = { provider: 'systemd-credential', name: 'cred' };
    const more = env('cred', randomBytes(32));
    const settings = [
      null,
      FOLDER_KEY,
      credential,
      { provider: 'file', path: join(folder, 'usb.key') },
      null,
    ] as const;
    writeFileSync(join(folder, 'usb.key'), randomBytes(32), { mode: 0o600 });
    for (const [index, sealWith] of settings.entries()) {
      const { store, secret } = await openSealed(sealWith, more);
      expect(Buffer.from(secret).toString()).toBe('a');
      await store.log.append(REF, block(1, `${index}`));
      expect(await allBlocks(store.log, REF)).toHaveLength(index + 1);
      await close();
    }
    const { disk, vault } = await openSealed(credential, more);
    const master = openMasterKey(credential, { keyFile: keyFile(), env: more });
    // The data keys of the file in the folder and of the one elsewhere.
    expect(await rotateTo(disk.meta, vault, master)).toMatchObject({ rewrapped: 2 });
    await close();
    rmSync(keyFile());
    rmSync(join(folder, 'usb.key'));
    const { store, secret } = await openSealed(credential, more);
    expect(Buffer.from(secret).toString()).toBe('a');
    expect(await allBlocks(store.log, REF)).toHaveLength(settings.length);
  });

  it('of a new folder may be elsewhere alone: no key file is made', async () => {
    const credential: KeySetting = { provider: 'systemd-credential', name: 'cred' };
    const more = env('cred', randomBytes(32));
    for (let start = 0; start < 2; start += 1) {
      const { secret } = await openSealed(credential, more);
      expect(Buffer.from(secret).toString()).toBe('a');
      await close();
      expect(existsSync(keyFile())).toBe(false);
    }
    env('cred', randomBytes(32));
    expect(await refusal(credential, more)).toEqual(code('KEY_INVALID'));
    expect(await refusal(credential)).toEqual(code('KEY_INVALID'));
  });

  it('whose row was changed say so', async () => {
    const { store, disk } = await openSealed(FOLDER_KEY);
    await store.log.append(REF, block(1, 'a'));
    const entry = await disk.meta.get(blockKeyName(1));
    const row = decodeKeyRow(entry ?? { key: '', value: new Uint8Array() });
    const other = { ...row, wrapped: randomBytes(61).toString('base64') };
    await disk.meta.put(blockKeyName(1), encodeKeyRow(other), 'any');
    await close();
    expect(String(await refusal(FOLDER_KEY))).toMatch(/keys\/0000000001.*was changed/);
  });

  it('are renewed long before a nonce may repeat, and every use is counted before it is made', async () => {
    const store = await openMemoryStore({ clock });
    const master = localMasterKey(randomBytes(32), FOLDER_KEY);
    const usesOf = async (id: number) => {
      const entry = await store.meta.get(blockKeyName(id));
      return entry === null ? null : decodeKeyRow(entry).uses;
    };
    const ring = new Keyring(clock);
    ring.startSealing(store.meta, master);
    expect(ring.take()).toBeNull();
    await ring.refill();
    expect(ring.take()?.id).toBe(1);
    expect(await usesOf(1)).toBe(USES_AT_ONCE);
    await ring.refill();
    expect(await usesOf(1)).toBe(2 * USES_AT_ONCE);
    // As after many starts.
    const entry = await store.meta.get(blockKeyName(1));
    const row = { ...decodeKeyRow(entry ?? { key: '', value: new Uint8Array() }), uses: KEY_USES_MAX };
    const later = new Keyring(clock);
    later.add(1, randomBytes(32), row);
    later.startSealing(store.meta, master);
    await later.refill();
    expect(later.take()?.id).toBe(2);
    expect(KEY_USES_MAX).toBeLessThanOrEqual(2 ** 32);
  });

  it('are rotated without rewriting: old blocks open, new ones have a new key', async () => {
    const { store, disk, vault } = await openSealed(FOLDER_KEY);
    await store.log.append(REF, block(1, 'a'));
    const before = readFileSync(keyFile());
    expect(await rotateKeyFile(disk.meta, vault, keyFile())).toEqual({
      rewrapped: 1,
      dataKey: blockKeyName(2),
    });
    expect(existsSync(nextKeyFile(keyFile()))).toBe(false);
    expect(readFileSync(keyFile()).equals(before)).toBe(false);
    await close();
    const { store: again, disk: raw, secret } = await openSealed(FOLDER_KEY);
    expect(Buffer.from(secret).toString()).toBe('a');
    await again.log.append(REF, block(1, 'b'));
    expect(await allBlocks(again.log, REF)).toEqual(['a', 'b'].map((name) => hex(block(1, name).block)));
    const { blocks } = await raw.log.readBlocks(REF, START_POSITION, { blocks: 9, bytes: 1e9 });
    expect(blocks.map((stored) => checkSealed(stored.block, nodeDigest).keyId)).toEqual([1, 2]);
    await close();
    writeFileSync(keyFile(), before);
    expect(await refusal(FOLDER_KEY)).toEqual(code('KEY_INVALID'));
  });

  it('open in the middle of a rotation, wherever it stops, and it is taken up', async () => {
    const { store } = await openSealed(FOLDER_KEY);
    await store.log.append(REF, block(1, 'a'));
    await close();
    for (let stopAfter = 0; stopAfter < 4; stopAfter += 1) {
      const { disk, vault } = await openSealed(FOLDER_KEY);
      let puts = 0;
      const stopping = Object.create(disk.meta) as typeof disk.meta;
      stopping.list = (prefix) => disk.meta.list(prefix);
      stopping.put = async (...parameters) => {
        if (puts === stopAfter) throw new Error('stopped here');
        puts += 1;
        return disk.meta.put(...parameters);
      };
      const failure: unknown = await rotateKeyFile(stopping, vault, keyFile()).catch(
        (error: unknown) => error,
      );
      expect(failure).toEqual(new Error('stopped here'));
      await close();
      const again = await openSealed(FOLDER_KEY);
      expect(Buffer.from(again.secret).toString(), `stopped after ${stopAfter}`).toBe('a');
      expect((await allBlocks(again.store.log, REF))[0]).toBe(hex(block(1, 'a').block));
      await again.store.log.append(REF, block(1, `${stopAfter}`));
      await close();
      const resumed = await openSealed(FOLDER_KEY);
      await rotateKeyFile(resumed.disk.meta, resumed.vault, keyFile());
      await close();
      expect(existsSync(nextKeyFile(keyFile()))).toBe(false);
      const after = await openSealed(FOLDER_KEY);
      expect(await allBlocks(after.store.log, REF)).toHaveLength(stopAfter + 2);
      for await (const entry of after.disk.meta.list(KEYS_PREFIX))
        expect(decodeKeyRow(entry).fingerprint).toBe(
          decodeKeyRow((await after.disk.meta.get(SECRETS_KEY)) ?? entry).fingerprint,
        );
      await close();
    }
  });

  it('refuse a key file that others may read', async () => {
    const { store } = await openSealed(FOLDER_KEY);
    await store.log.append(REF, block(1, 'a'));
    await close();
    chmodSync(keyFile(), 0o644);
    expect(String(await refusal(FOLDER_KEY))).toMatch(/chmod 600/);
    expect(await outcome(openSealed(null))).toBe('KEY_INVALID');
  });
});
