// What sensors send: JSON documents of 200 bytes that differ as readings do; and what the kernel says of this process.
import { readFileSync } from 'node:fs';
import type { RecordInput } from '../stream/record.ts';

export const RECORD_BYTES = 200;
const DEVICES = 20;
const NOISE_PRIME = 7_919;

export function telemetry(count: number, first = 0): RecordInput[] {
  return Array.from({ length: count }, (_, offset) => recordOf(first + offset));
}

/** Pages that this process made dirty and a disk has got or will get (proc(5)). */
export function processWrittenBytes(): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
}

function recordOf(index: number): RecordInput {
  const device = `sensor-${index % DEVICES}`;
  const noise = (index * NOISE_PRIME) % 1_000;
  const text = JSON.stringify({
    ts: 1_767_225_600_000 + index * 137,
    device,
    v: {
      temperature: 20 + noise / 100,
      humidity: 40 + noise / 50,
      pressure: 1_000 + noise / 8,
      battery: noise / 1_000,
    },
    q: { temperature: 'good', humidity: 'good' },
  });
  return { partitionKey: device, data: Buffer.from(text.padEnd(RECORD_BYTES, ' ').slice(0, RECORD_BYTES)) };
}
