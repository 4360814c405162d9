// One opened serial port: bytes in, and why it could not be opened or is gone. Never writes to the device.
import { stat } from 'node:fs/promises';
import { SerialPort } from 'serialport';

export type PortProblem =
  | 'missing'
  | 'permission'
  | 'busy'
  | 'not_serial'
  | 'baud_rate'
  | 'unplugged'
  | 'failed';

/** What to do about it, for the log. */
export const PORT_FIXES: Readonly<Record<PortProblem, string>> = {
  missing: 'plug the device in, or set the path; /dev/serial/by-id/… stays the same after a reboot',
  permission:
    'add the user of the gateway to the group dialout (sudo usermod -aG dialout USER) and start it again',
  busy: 'another program has the port open (see fuser PATH); stop it, often ModemManager or a serial console',
  not_serial: 'the path is no serial port; set it to a device such as /dev/ttyUSB0',
  baud_rate: 'the driver does not support this baud rate; set another one',
  unplugged: 'plug the device in again; the gateway tries by itself',
  failed: 'see the error',
};

/** Texts of strerror, which is all the native part reports. */
const PROBLEM_TEXTS: readonly (readonly [RegExp, PortProblem])[] = [
  [/No such (file|device)/i, 'missing'],
  [/Permission denied|Operation not permitted/i, 'permission'],
  [/Cannot lock port|resource busy|Resource temporarily unavailable/i, 'busy'],
  [/custom baud rate of|baud rate of -?\d+ is not supported|termios2/i, 'baud_rate'],
];
const NOT_SERIAL = /Inappropriate ioctl|Is a directory|Not a typewriter/i;

export function portProblem(error: unknown): PortProblem {
  const text = error instanceof Error ? error.message : String(error);
  // A file that is no terminal fails where its baud rate is set.
  if (NOT_SERIAL.test(text)) return 'not_serial';
  return PROBLEM_TEXTS.find(([pattern]) => pattern.test(text))?.[1] ?? 'failed';
}

interface NativePort {
  read(buffer: Buffer, offset: number, length: number): Promise<{ bytesRead: number }>;
  close(): Promise<void>;
}

/** The file behind the path when it was opened. */
interface DeviceId {
  readonly inode: bigint;
  readonly device: bigint;
}

const READ_BYTES = 4_096;

export class OpenPort {
  readonly #port: NativePort;
  readonly #path: string;
  readonly #id: DeviceId;
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  #closing: Promise<void> | null = null;

  private constructor(port: NativePort, path: string, id: DeviceId) {
    this.#port = port;
    this.#path = path;
    this.#id = id;
  }

  /** Throws what the system says; `portProblem` names it. */
  static async open(path: string, baudRate: number): Promise<OpenPort> {
    const id = await deviceId(path);
    const port = await SerialPort.binding.open({
      path,
      baudRate,
      dataBits: 8,
      stopBits: 1,
      parity: 'none',
      lock: true,
      rtscts: false,
      hupcl: true,
    });
    return new OpenPort(port, path, id);
  }

  /** At least one byte, in a buffer that the next read overwrites; null once the port is closed. Throws when it is gone. */
  async read(): Promise<Uint8Array | null> {
    try {
      const { bytesRead } = await this.#port.read(this.#buffer, 0, READ_BYTES);
      return this.#buffer.subarray(0, bytesRead);
    } catch (error) {
      if (this.#closing !== null) return null;
      throw error;
    }
  }

  /** Whether the path still leads to this device. */
  async isPresent(): Promise<boolean> {
    try {
      const now = await deviceId(this.#path);
      return now.inode === this.#id.inode && now.device === this.#id.device;
    } catch {
      return false;
    }
  }

  /** Ends a read under way. Idempotent; a device that is gone may fail to close, which changes nothing. */
  close(): Promise<void> {
    this.#closing ??= this.#port.close().catch(() => undefined);
    return this.#closing;
  }
}

async function deviceId(path: string): Promise<DeviceId> {
  try {
    const { ino, rdev } = await stat(path, { bigint: true });
    return { inode: ino, device: rdev };
  } catch (cause) {
    throw new Error(`No such file or directory: ${path}`, { cause });
  }
}
