// Goal: the pure decisions of the link: where a lane goes on, how much is under way, when to try again.
import { describe, expect, it } from 'vitest';
import { EMPTY_TAG, decodeLaneTag, encodeLaneTag } from '../../stream/lane-tag.ts';
import { decodeBlockFrame, encodeBlockFrame, encodeControl, gatewayMessage } from '../../sync/protocol.ts';
import { Backoff, DELAY_MAX_MS, FIRST_DELAY_MS } from '../../sync/reconnect.ts';
import { decideResume } from '../../sync/resume.ts';
import { SendWindow } from '../../sync/window.ts';
import type { Sent } from '../../sync/window.ts';
import { LANE_RUNS_MAX } from '../../stream/limits.ts';

const A = 'aaaaaaaaaaaaaaaa';
const B = 'bbbbbbbbbbbbbbbb';
const C = 'cccccccccccccccc';
const runs = (...list: [string, bigint][]) => list.map(([run, firstOrdinal]) => ({ run, firstOrdinal }));

describe('where a lane goes on', () => {
  const ours = { last: 150n, runs: runs([A, 1n], [B, 101n]) };

  it('starts at the first record for a server that knows nothing', () => {
    expect(decideResume(ours, 0n, { last: 0n, runs: [], lastMatches: true })).toEqual({
      kind: 'resume',
      after: 0n,
    });
  });

  it('goes on behind what the server has, also when it lost some', () => {
    const server = { last: 120n, runs: runs([A, 1n], [B, 101n]), lastMatches: true };
    expect(decideResume(ours, 0n, server)).toEqual({ kind: 'resume', after: 120n });
    expect(decideResume(ours, 0n, { ...server, last: 40n, runs: runs([A, 1n]) })).toEqual({
      kind: 'resume',
      after: 40n,
    });
  });

  it('goes on behind what was evicted', () => {
    const server = { last: 40n, runs: runs([A, 1n]), lastMatches: true };
    expect(decideResume(ours, 90n, server)).toEqual({ kind: 'resume', after: 90n });
  });

  it('knows a server that first saw a run in its middle, behind a gap', () => {
    const server = { last: 120n, runs: runs([A, 60n], [B, 101n]), lastMatches: true };
    expect(decideResume(ours, 0n, server)).toEqual({ kind: 'resume', after: 120n });
  });

  it('parts from a server that holds other records under the same ordinals', () => {
    // A restored image: run B was written after the restore, run C before it.
    const server = { last: 130n, runs: runs([A, 1n], [C, 81n]), lastMatches: true };
    expect(decideResume(ours, 0n, server)).toEqual({ kind: 'fork', base: 80n });
  });

  it('parts from a server that is ahead of a disk that lost a flush', () => {
    const server = { last: 180n, runs: runs([A, 1n], [B, 101n]), lastMatches: true };
    expect(decideResume(ours, 0n, server)).toEqual({ kind: 'fork', base: 150n });
  });

  it('parts before the newest run when its last record is another one', () => {
    const server = { last: 150n, runs: runs([A, 1n], [B, 101n]), lastMatches: false };
    expect(decideResume(ours, 0n, server)).toEqual({ kind: 'fork', base: 100n });
  });

  it('parts where the runs part, whatever the last record says', () => {
    const server = { last: 140n, runs: runs([A, 1n], [C, 101n], ['d'.repeat(16), 121n]), lastMatches: false };
    expect(decideResume(ours, 0n, server)).toEqual({ kind: 'fork', base: 100n });
  });

  it('does not send again what was acknowledged under runs that the server has forgotten', () => {
    const forgotten = Array.from({ length: LANE_RUNS_MAX }, (_, index) => ({
      run: index.toString(16).padStart(16, 'e'),
      firstOrdinal: 51n + BigInt(index),
    }));
    const server = { last: 200n, runs: forgotten, lastMatches: true };
    expect(decideResume(ours, 0n, server, 80n)).toEqual({ kind: 'fork', base: 50n });
    expect(decideResume(ours, 0n, server, 30n)).toEqual({ kind: 'fork', base: 30n });
  });

  it('never parts below what it can still send', () => {
    const server = { last: 130n, runs: runs([C, 1n]), lastMatches: true };
    expect(decideResume(ours, 110n, server)).toEqual({ kind: 'fork', base: 110n });
  });
});

describe('what a gateway says of itself', () => {
  const status = (change: object): unknown => {
    const whole = {
      type: 'status',
      backlogRecords: 1,
      backlogBytes: 1,
      oldestUnsentMs: 1,
      evictedRecords: 0,
    };
    return gatewayMessage.safeParse({ ...whole, ...change }).data;
  };

  it('is bounded: ages are cut at ten years, counts are exact or refused', () => {
    const tenYears = 10 * 365 * 24 * 3_600_000;
    expect(status({ oldestUnsentMs: 1e300 })).toMatchObject({ oldestUnsentMs: tenYears });
    expect(status({ oldestUnsentMs: null })).toMatchObject({ oldestUnsentMs: null });
    expect(status({ backlogRecords: Number.MAX_SAFE_INTEGER })).toBeDefined();
    const refused = [
      { oldestUnsentMs: -1 },
      { oldestUnsentMs: Infinity },
      { oldestUnsentMs: Number.NaN },
      { backlogRecords: 2 ** 53 },
      { backlogBytes: 1.5 },
      { evictedRecords: -1 },
    ];
    for (const change of refused) expect(status(change), JSON.stringify(change)).toBeUndefined();
  });
});

describe('what the server remembers of a lane', () => {
  it('comes back as it was', () => {
    const many = runs(
      ...Array.from({ length: LANE_RUNS_MAX }, (_, index): [string, bigint] => [
        index.toString(16).padStart(16, '0'),
        BigInt(index) * 7n + 1n,
      ]),
    );
    for (const tag of [EMPTY_TAG, { runs: many, fingerprint: 0xffff_fffe }, { runs: many, fingerprint: 0 }]) {
      expect(decodeLaneTag(encodeLaneTag(tag))).toEqual(tag);
    }
  });
});

describe('the wire', () => {
  it('carries ordinals beyond 2^53 exactly', () => {
    const ordinal = 2n ** 60n + 1n;
    const text = encodeControl({
      type: 'lane',
      lane: 3,
      stream: 'telemetry',
      class: 'alarm',
      incarnation: '6a6a6a6a-6a6a-4a6a-8a6a-6a6a6a6a6a6a',
      base: 0n,
      from: ordinal,
    });
    expect(gatewayMessage.parse(JSON.parse(text))).toMatchObject({ type: 'lane', from: ordinal });
  });

  it.each([
    ['a lane index out of range', { type: 'lane', lane: 4096 }],
    ['an unknown kind', { type: 'drop' }],
    ['a negative ordinal', { type: 'lane', lane: 1, from: '-1' }],
    ['no object', 'open'],
  ])('refuses %s', (_name, message) => {
    expect(gatewayMessage.safeParse(message).success).toBe(false);
  });

  it('frames a block and refuses what is none', () => {
    const block = Uint8Array.of(1, 2, 3);
    const frame = Buffer.from(encodeBlockFrame(70_000, block));
    expect(decodeBlockFrame(frame)).toEqual({ lane: 70_000, block: Buffer.from(block) });
    expect(decodeBlockFrame(frame.subarray(0, 4))).toBeNull();
    expect(decodeBlockFrame(Buffer.from([2, 0, 0, 0, 1]))).toBeNull();
  });
});

describe('the window', () => {
  /** What a link of this rate and round trip makes of it, sending whenever there is room. */
  function settledWindow(bytesPerMs: number, roundTripMs: number): SendWindow {
    const window = new SendWindow(8 * 1024 * 1024);
    const flight: { sent: Sent; arrivesMs: number }[] = [];
    let linkFreeMs = 0;
    for (let nowMs = 0; nowMs < 20_000; nowMs += 1) {
      while ((flight[0]?.arrivesMs ?? Infinity) <= nowMs) {
        const done = flight.shift();
        if (done !== undefined) window.acknowledged(done.sent, BigInt(nowMs) * 1000n);
      }
      while (window.hasRoomFor(4_000)) {
        linkFreeMs = Math.max(linkFreeMs, nowMs) + 4_000 / bytesPerMs;
        const sent = window.sent(4_000, BigInt(nowMs) * 1000n);
        flight.push({ sent, arrivesMs: linkFreeMs + roundTripMs });
      }
    }
    return window;
  }

  it('lets a block that is larger than it go alone', () => {
    const window = new SendWindow(1024 * 1024);
    expect(window.hasRoomFor(500_000)).toBe(true);
    window.sent(500_000, 0n);
    expect(window.hasRoomFor(1)).toBe(false);
  });

  it.each([
    ['slow', 40, 20],
    ['middling', 1_000, 20],
    ['far away', 1_000, 300],
  ])('fills a link that is %s and queues little on it', (_name, bytesPerMs, roundTripMs) => {
    const { bytes } = settledWindow(bytesPerMs, roundTripMs);
    const carried = bytesPerMs * Math.max(100, roundTripMs);
    expect(bytes).toBeGreaterThanOrEqual(Math.max(16 * 1024, carried * 0.7));
    expect(bytes).toBeLessThanOrEqual(Math.max(16 * 1024, carried * 2.2));
  });

  it('never exceeds the credit', () => {
    const window = new SendWindow(64 * 1024);
    for (let round = 1n; round < 50n; round += 1n) {
      window.acknowledged(window.sent(64_000, round * 1_000n), round * 1_000n + 500n);
    }
    expect(window.bytes).toBe(64 * 1024);
    expect(window.inFlightBytes).toBe(0);
  });
});

describe('trying again', () => {
  it('tries within the first delay, then spreads over at most the longest, and starts over after a good session', () => {
    const backoff = new Backoff(() => 0.999);
    const delays = Array.from({ length: 8 }, () => backoff.nextDelayMs());
    expect(delays[0]).toBeLessThan(FIRST_DELAY_MS);
    expect(Math.max(...delays)).toBeLessThan(DELAY_MAX_MS);
    expect(delays.at(-1)).toBeGreaterThan(DELAY_MAX_MS * 0.99);
    backoff.reset();
    expect(backoff.nextDelayMs()).toBeLessThan(FIRST_DELAY_MS);
  });
});
