// Goal: the short form of a serial port is read right or refused precisely, and what keeps a port from opening is named.
import { describe, expect, it } from 'vitest';
import { parseSerialFlag } from '../../gateway/serial/serial-options.ts';
import { PORT_FIXES, portProblem } from '../../gateway/serial/serial-port.ts';

describe('parseSerialFlag', () => {
  it.each([
    ['/dev/ttyUSB0:115200:raw', '/dev/ttyUSB0', 115_200, 'raw'],
    [
      '/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0:9600:json',
      '/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0',
      9_600,
      'json',
    ],
    ['relative:50:x', 'relative', 50, 'x'],
    ['a:4000000:x', 'a', 4_000_000, 'x'],
  ])('%s', (text, path, baudRate, profile) => {
    expect(parseSerialFlag(text)).toEqual({ path, baudRate, profile });
  });

  it.each([
    ['', 'PATH:BAUD:PROFILE'],
    ['/dev/ttyUSB0', 'PATH:BAUD:PROFILE'],
    ['/dev/ttyUSB0:9600', 'PATH:BAUD:PROFILE'],
    [':9600:raw', 'the path in front of the baud rate is empty'],
    ['/dev/ttyUSB0:9600:', 'the profile behind the last colon is empty'],
    ['/dev/ttyUSB0:fast:raw', "the baud rate 'fast'"],
    ['/dev/ttyUSB0::raw', "the baud rate ''"],
    ['/dev/ttyUSB0:-9600:raw', "the baud rate '-9600'"],
    ['/dev/ttyUSB0:49:raw', "the baud rate '49'"],
    ['/dev/ttyUSB0:4000001:raw', "the baud rate '4000001'"],
    ['/dev/ttyUSB0:9600.5:raw', "the baud rate '9600.5'"],
  ])('refuses %j', (text, why) => {
    expect(() => parseSerialFlag(text)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(why) }),
    );
  });
});

describe('portProblem', () => {
  // The texts of bindings-cpp 13 on Linux.
  it.each([
    ['Error: No such file or directory, cannot open /dev/ttyUSB0', 'missing'],
    ['Error: No such device or address, cannot open /dev/ttyUSB0', 'missing'],
    ['Error: Permission denied, cannot open /dev/ttyUSB0', 'permission'],
    ['Error Resource temporarily unavailable Cannot lock port', 'busy'],
    ['Error: Device or resource busy, cannot open /dev/ttyUSB0', 'busy'],
    ['Error: Inappropriate ioctl for device setting custom baud rate of 9600', 'not_serial'],
    ['Error: Is a directory, cannot open /tmp', 'not_serial'],
    ['Error: Invalid argument || while setting custom baud rate of 74880', 'baud_rate'],
    ['Error: Input/output error, cannot open /dev/ttyUSB0', 'failed'],
  ])('%s', (text, problem) => {
    expect(portProblem(new Error(text))).toBe(problem);
  });

  it('has a fix for each, that of permissions names the group', () => {
    expect(PORT_FIXES.permission).toContain('dialout');
    expect(Object.values(PORT_FIXES).every((fix) => fix.length > 10)).toBe(true);
  });
});
