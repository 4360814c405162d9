// Goal: lines come out whole and as copies however the bytes are cut, and memory stays bounded.
import { describe, expect, it } from 'vitest';
import { LineFramer } from '../../devices/line-framer.ts';

const text = (frames: Uint8Array[]): string[] => frames.map((frame) => Buffer.from(frame).toString('latin1'));

describe('LineFramer', () => {
  it.each([
    ['a\nb\n', ['a', 'b']],
    ['a\r\nb\r\n', ['a', 'b']],
    ['a\rb\r', ['a', 'b']],
    ['\n\r\n\ra\n\n', ['a']],
    ['a\0\xff b\n', ['a\0\xff b']],
    ['unfinished', []],
  ])('%j, whole and byte by byte', (input, expected) => {
    expect(text(new LineFramer().push(Buffer.from(input, 'latin1')))).toEqual(expected);
    const framer = new LineFramer();
    const frames = [...Buffer.from(input, 'latin1')].flatMap((byte) => framer.push(Buffer.of(byte)));
    expect(text(frames)).toEqual(expected);
  });

  it.each([['Buffer'], ['Uint8Array']])('gives copies of a %s: the chunk may be overwritten', (kind) => {
    const bytes = Buffer.from('first\nsec');
    const chunk = kind === 'Buffer' ? bytes : new Uint8Array(bytes);
    const framer = new LineFramer();
    const frames = framer.push(chunk);
    chunk.fill(0x78);
    frames.push(...framer.push(Buffer.from('ond\n')));
    expect(text(frames)).toEqual(['first', 'second']);
  });

  it('drops what is longer than the maximum up to the next delimiter, and counts it once', () => {
    const framer = new LineFramer(5);
    expect(text(framer.push(Buffer.from('12345\n123456\nok\n')))).toEqual(['12345', 'ok']);
    expect(framer.overflows).toBe(1);
    for (let round = 0; round < 100; round += 1) framer.push(Buffer.from('xxxx'));
    expect(framer.pendingBytes).toBeLessThanOrEqual(5);
    expect(text(framer.push(Buffer.from('\nok\n')))).toEqual(['ok']);
    expect(framer.overflows).toBe(2);
  });

  it('forgets the unfinished line, not the count', () => {
    const framer = new LineFramer(5);
    framer.push(Buffer.from('123456'));
    framer.reset();
    expect(text(framer.push(Buffer.from('ab\n')))).toEqual(['ab']);
    framer.push(Buffer.from('cd'));
    framer.reset();
    expect(text(framer.push(Buffer.from('ef\n')))).toEqual(['ef']);
    expect(framer.overflows).toBe(1);
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses the maximum %s', (max) => {
    expect(() => new LineFramer(max)).toThrow(RangeError);
  });
});
