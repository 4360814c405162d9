// What may be set about one serial port, and `PATH:BAUD:PROFILE`, the short form of the command line.
import { FRAME_BYTES_MAX } from '../../devices/line-framer.ts';
import { TributaryError } from '../../stream/errors.ts';

export interface SerialOptions extends Partial<SerialLimits> {
  /** As configured; also the name of the source. */
  readonly path: string;
  readonly baudRate: number;
  readonly profile: string;
}

export interface SerialLimits {
  /** A longer line is dropped and counted. */
  readonly lineBytesMax: number;
  /** Lines that wait for the disk; at either maximum the port is not read until half of it is gone. */
  readonly pendingLinesMax: number;
  readonly pendingBytesMax: number;
  /** Pause before the port is tried again; it doubles with each failure. */
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  /** Pause before a failed append is tried again; it doubles too. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  /** How often the device file is looked at: some ports vanish without an error. */
  readonly checkMs: number;
  /** How long a close waits for what was read to become durable. */
  readonly closeTimeoutMs: number;
}

export const DEFAULT_SERIAL_LIMITS: SerialLimits = {
  lineBytesMax: FRAME_BYTES_MAX,
  pendingLinesMax: 20_000,
  pendingBytesMax: 4 * 1024 * 1024,
  reconnectMinMs: 500,
  reconnectMaxMs: 30_000,
  retryMinMs: 100,
  retryMaxMs: 5_000,
  checkMs: 1_000,
  closeTimeoutMs: 5_000,
};

const BAUD_MIN = 50;
const BAUD_MAX = 4_000_000;

export interface SerialFlag {
  readonly path: string;
  readonly baudRate: number;
  readonly profile: string;
}

/** `PATH:BAUD:PROFILE`, read from the right because paths hold colons. Throws CONFIG_INVALID. */
export function parseSerialFlag(text: string): SerialFlag {
  const profileAt = text.lastIndexOf(':');
  const baudAt = profileAt > 0 ? text.lastIndexOf(':', profileAt - 1) : -1;
  if (baudAt < 0) throw invalid(text, 'it must be PATH:BAUD:PROFILE');
  const path = text.slice(0, baudAt);
  const baud = text.slice(baudAt + 1, profileAt);
  const profile = text.slice(profileAt + 1);
  if (path === '') throw invalid(text, 'the path in front of the baud rate is empty');
  if (profile === '') throw invalid(text, 'the profile behind the last colon is empty');
  const baudRate = /^\d{1,7}$/.test(baud) ? Number(baud) : 0;
  if (baudRate < BAUD_MIN || baudRate > BAUD_MAX) {
    throw invalid(text, `the baud rate '${baud}' is no number from ${BAUD_MIN} to ${BAUD_MAX}`);
  }
  return { path, baudRate, profile };
}

function invalid(text: string, why: string): TributaryError {
  return new TributaryError(
    'CONFIG_INVALID',
    `the serial port '${text}' is not understood: ${why}, e.g. /dev/ttyUSB0:115200:raw`,
  );
}
