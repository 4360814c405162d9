// Goal: tokens survive every client, and only ours are taken.
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { TokenSigner } from '../../server/kinesis/page-token.ts';
import { toPosition } from '../../stream/position.ts';

const signer = new TokenSigner(randomBytes(32));

it('starts with a letter: the AWS CLI takes what starts with a hyphen for an option', () => {
  for (let index = 0; index < 500; index += 1) {
    const iterator = { streamId: 's', shardIndex: index, position: toPosition(1n, BigInt(index), 0) };
    const token = signer.sealIterator(iterator, index);
    expect(token).toMatch(/^A[\w-]+$/);
    expect(signer.openIterator(token, index)).toEqual(iterator);
    expect(signer.sealPage('streams', index, index)).toMatch(/^A/);
  }
});

it('refuses a token that was changed anywhere', () => {
  const token = signer.sealPage('streams', 'x', 0);
  for (let at = 0; at < token.length - 1; at += 1) {
    const other = token[at] === 'B' ? 'C' : 'B';
    const changed = token.slice(0, at) + other + token.slice(at + 1);
    expect(() => signer.openPage('streams', changed, 0), `character ${at}`).toThrow('Invalid NextToken');
  }
});
