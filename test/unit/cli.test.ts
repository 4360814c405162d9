// Goal: what is printed is data or a document, and nothing that came over the wire steers the terminal.
// Method: the output functions with stdout and stderr caught; HTTP servers that are no Tributary.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { CliError, EXIT } from '../../cli/cli-error.ts';
import { duration, printDocument, printTable, printable, reportError } from '../../cli/output.ts';
import { portNumber } from '../../cli/port-number.ts';
import { printGateways } from '../../cli/fleet.ts';
import { openServerApi } from '../../cli/server-api.ts';
import { createStream, listStreams } from '../../cli/stream.ts';
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

it('a duration has the largest unit of which there are two', () => {
  const shown = [0, 1_499, 119_000, 120_000, 7_199_000, 7_200_000, 172_800_000, 315_360_000_000].map(
    duration,
  );
  expect(shown).toEqual(['0 s', '1 s', '119 s', '2 min', '119 min', '2 h', '2 d', '3650 d']);
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

it.each([
  ['HTML and 404', 404, '<html>Not Found</html>', {}],
  ['HTML and 200', 200, '<html>Hello</html>', {}],
  ['nothing and 200', 200, '', {}],
  ['JSON of its own and 200', 200, '{"ok":true}', { 'x-amzn-requestid': 'r' }],
  ['a list', 200, '[]', { 'x-amzn-requestid': 'r' }],
  ['an error of its own', 404, '{"error":{"code":"NOT_FOUND","message":"no"}}', {}],
  ['a proxy without its server', 502, 'bad gateway', {}],
])('a server that is no Tributary is called that: %s', async (_name, status, body, headers) => {
  const other = createServer((_request, response) => response.writeHead(status, headers).end(body));
  await new Promise<void>((resolve) => void other.listen(0, '127.0.0.1', resolve));
  const server = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  vi.stubEnv('TRIBUTARY_ACCESS_KEY_ID', 'a');
  vi.stubEnv('TRIBUTARY_SECRET_ACCESS_KEY', 'b');
  const facts = {
    exit: EXIT.failed,
    code: 'NO_TRIBUTARY',
    message: expect.stringContaining(server) as unknown,
  };
  await expect(printGateways({ server })).rejects.toMatchObject({ facts });
  await expect(listStreams({ server })).rejects.toMatchObject({ facts });
  if (!('x-amzn-requestid' in headers))
    await expect(createStream('a', { server, shards: 1 })).rejects.toMatchObject({ facts });
  vi.unstubAllEnvs();
  other.close();
});
