// Goal: what is printed is data or a document, and nothing that came over the wire steers the terminal.
// Method: the output functions with stdout and stderr caught.
import { afterEach, expect, it, vi } from 'vitest';
import { CliError, EXIT } from '../../cli/cli-error.ts';
import { printDocument, printTable, printable, reportError } from '../../cli/output.ts';
import { portNumber } from '../../cli/port-number.ts';
import { openServerApi } from '../../cli/server-api.ts';
import { TributaryError } from '../../stream/errors.ts';

afterEach(() => vi.restoreAllMocks());

function caught(name: 'stdout' | 'stderr', print: () => void): string {
  let text = '';
  vi.spyOn(process[name], 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  print();
  vi.restoreAllMocks();
  return text;
}

it('a document starts with its schema and is one line', () => {
  const text = caught('stdout', () => printDocument('a/1', { b: 'c\nd' }));
  expect(text).toBe('{"schema":"a/1","b":"c\\nd"}\n');
});

it('a table has one row for each object, columns in line, no blanks at the end', () => {
  const text = caught('stdout', () =>
    printTable(
      ['NAME', 'STATE'],
      [
        ['barn', 'online'],
        ['a long name', 'x'],
      ],
    ),
  );
  expect(text).toBe('NAME         STATE\nbarn         online\na long name  x\n');
});

it('control characters and invisible ones are shown as question marks', () => {
  expect(printable('a\u001b[2Jb\u0000\r\n\u202ec ü 日')).toBe('a?[2Jb????c ü 日');
});

it('an error names its code, its fix and its exit code', () => {
  const error = new CliError({ exit: EXIT.notFound, code: 'NOT_FOUND', message: 'gone', hint: 'look' });
  expect(caught('stderr', () => expect(reportError(error, true)).toBe(3))).toBe(
    '{"error":{"code":"NOT_FOUND","message":"gone","hint":"look"}}\n',
  );
  expect(caught('stderr', () => expect(reportError(error, false)).toBe(3))).toBe('tributary: gone\n  look\n');
  const config = new TributaryError('CONFIG_INVALID', 'port: too large');
  caught('stderr', () => expect(reportError(config, true)).toBe(EXIT.usage));
  caught('stderr', () => expect(reportError(new TributaryError('BUSY', 'x'), true)).toBe(EXIT.failed));
  caught('stderr', () => expect(reportError('odd', true)).toBe(EXIT.failed));
});

it('ports and URLs are checked before anything is sent', () => {
  expect([portNumber('0'), portNumber('65535')]).toEqual([0, 65_535]);
  for (const text of ['', '-1', '65536', '1.5', 'a', '0x10', '123456'])
    expect(() => portNumber(text), text).toThrow(CliError);
  const env = { TRIBUTARY_ACCESS_KEY_ID: 'a', TRIBUTARY_SECRET_ACCESS_KEY: 'b' };
  expect(openServerApi({}, env).url).toBe('http://127.0.0.1:4567');
  expect(openServerApi({ server: 'https://host:1/path?x' }, env).url).toBe('https://host:1');
  for (const server of ['host:1', 'ftp://host', '', 'http://'])
    expect(() => openServerApi({ server }, env), server).toThrow(CliError);
});
