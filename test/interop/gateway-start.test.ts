// Goal: a start that fails says what to do and leaves a data folder that the next start can use. Method: the programs as
// processes, over real folders, ports and enrolments.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  MAIN,
  credentialEnvironment,
  runCli,
  startGateway,
  startServer,
  stopAll,
  temporaryFolder,
} from '../processes.ts';
import type { Finished, RunningGateway, RunningServer } from '../processes.ts';
import { fleet } from '../signed-requests.ts';

const UNKNOWN_CODE = 'ABCD-EFGH.2222222222222222';
const NOBODY = 'http://127.0.0.1:9';

let data: string;
beforeEach(() => {
  data = temporaryFolder('gateway');
});
afterEach(stopAll);

/** A start that ends by itself. */
function failing(...parameters: string[]): Promise<Finished> {
  return runCli(['gateway', '--data', data, '--mqtt-port', '0', '--status-port', '0', ...parameters]);
}

async function link({ statusUrl }: RunningGateway): Promise<Readonly<Record<string, unknown>>> {
  const status = (await (await fetch(statusUrl)).json()) as { link: Record<string, unknown> };
  return status.link;
}

async function untilOnline(gateway: RunningGateway): Promise<void> {
  while ((await link(gateway))['state'] !== 'online') await new Promise((resolve) => setTimeout(resolve, 50));
}

async function codeOf({ httpUrl }: RunningServer): Promise<string> {
  return String((await fleet(httpUrl, 'POST', '/api/v1/enrolment-codes', {})).body['code']);
}

describe('an enrolment code', () => {
  it('that is mistyped is a usage error, and nothing is stored', async () => {
    rmSync(data, { recursive: true });
    const enrol = ['--server', NOBODY, '--enrol', 'nonsense'];
    const start = await failing(...enrol);
    expect([start.code, start.stdout]).toEqual([2, '']);
    expect(start.stderr).toContain('server.enrolmentCode: an enrolment code looks like');
    expect(existsSync(data)).toBe(false);
    const check = await failing(...enrol, '--check-config');
    expect([check.code, check.stdout]).toEqual([
      2,
      expect.stringContaining('server.enrolmentCode') as unknown,
    ]);
  });

  it('that the server refuses ends this start and not the next one', async () => {
    const server = await startServer();
    const used = await codeOf(server);
    await untilOnline(await startGateway({ parameters: ['--server', server.httpUrl, '--enrol', used] }));
    for (const [code, reason] of [
      [used, 'ENROLMENT_CODE_USED'],
      [UNKNOWN_CODE, 'ENROLMENT_CODE_INVALID'],
    ] as const) {
      const refused = await failing('--server', server.httpUrl, '--enrol', code);
      expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining(reason) as unknown]);
      const next = await startGateway({ data });
      expect(await link(next)).toMatchObject({ state: 'buffering' });
      expect(next.events()).toContainEqual(
        expect.objectContaining({
          event: 'not enrolled: records are buffered only',
          fix: expect.stringContaining('--enrol CODE') as unknown,
        }),
      );
      expect((await next.kill('SIGTERM')).code).toBe(0);
    }
    const good = ['--server', server.httpUrl, '--enrol', await codeOf(server)];
    await untilOnline(await startGateway({ data, parameters: good }));
  });
});

describe('a server', () => {
  it('that was wrong is corrected without the code again, and stays once enrolled', async () => {
    const server = await startServer();
    const wrong = await startGateway({
      data,
      parameters: ['--server', NOBODY, '--enrol', await codeOf(server)],
    });
    expect(await link(wrong)).toMatchObject({ state: 'enrolling', serverUrl: NOBODY });
    await wrong.kill('SIGTERM');
    const right = await startGateway({ data, parameters: ['--server', server.httpUrl] });
    await untilOnline(right);
    await right.kill('SIGTERM');
    const later = await startGateway({ data, parameters: ['--server', NOBODY] });
    await untilOnline(later);
    expect(later.events().filter(({ set }) => set === NOBODY)).toMatchObject([
      { level: 'warn', used: server.httpUrl },
    ]);
  });
});

describe('a key file that is missing', () => {
  it('is not replaced: of a gateway, whose records survive even its loss', async () => {
    const server = await startServer();
    const enrol = async () => ['--server', server.httpUrl, '--enrol', await codeOf(server)];
    const first = await startGateway({ data, parameters: await enrol() });
    await untilOnline(first);
    await first.kill('SIGTERM');
    const aside = join(temporaryFolder(), 'gateway.key');
    renameSync(join(data, 'gateway.key'), aside);
    const before = readdirSync(data);
    const refused = await failing();
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(`gateway.key is missing from ${data} (it opens the identity`);
    expect(refused.stderr).toContain(`tributary identity reset ${data} --yes`);
    expect(readdirSync(data)).toEqual(before);
    renameSync(aside, join(data, 'gateway.key'));
    const back = await startGateway({ data });
    await untilOnline(back);
    await back.kill('SIGTERM');
    rmSync(join(data, 'gateway.key'));
    expect((await runCli(['identity', 'reset', data, '--yes'])).code).toBe(0);
    await untilOnline(await startGateway({ data, parameters: await enrol() }));
  });

  it('is not replaced: of a server', async () => {
    const server = await startServer();
    await server.kill('SIGTERM');
    rmSync(join(server.data, 'server.key'));
    const refused = await runCli(['server', '--data', server.data, '--port', '0']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(`server.key is missing from ${server.data} (it opens`);
    expect(existsSync(join(server.data, 'server.key'))).toBe(false);
  });
});

describe('a place that cannot be had', () => {
  it('is told alike by both programs: the data folder', async () => {
    const file = join(data, 'file');
    writeFileSync(file, '');
    for (const path of [file, join(file, 'x'), '/proc/nope']) {
      const texts = [];
      for (const program of ['server', 'gateway']) {
        const { code, stdout, stderr } = await runCli([program, '--data', path]);
        expect([code, stdout], `${program} ${path}`).toEqual([2, '']);
        texts.push(stderr);
      }
      expect(texts[0]).toContain(`the data folder ${path} cannot be used: `);
      expect(texts[1]).toBe(texts[0]);
    }
  });

  it("is told with the fix: the server's port and address", async () => {
    const { httpUrl } = await startServer();
    const port = new URL(httpUrl).port;
    const env = credentialEnvironment();
    const rows = [
      [
        ['--port', port],
        `cannot listen for HTTP on 127.0.0.1 port ${port}: the port is in use; stop the program`,
      ],
      [
        ['--port', '0', '--host', '192.0.2.1'],
        'on 192.0.2.1 port 0: this machine has no such address; set --host',
      ],
    ] as const;
    for (const [parameters, text] of rows) {
      const { code, stdout, stderr } = await runCli(['server', '--data', data, ...parameters], { env });
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toContain(text);
    }
  });
});

describe('the demo', () => {
  it.each([1, 2, 3])('leaves nothing behind after %i SIGINT at once', async (count) => {
    const folder = temporaryFolder();
    const demo = spawn(process.execPath, [MAIN, 'demo'], { env: { ...process.env, TMPDIR: folder } });
    let stdout = '';
    // Read to its end: a demo that nobody reads ends by that.
    await new Promise<void>((resolve) => {
      demo.stdout.on('data', (chunk) => {
        stdout += String(chunk);
        if (stdout.includes('get-records')) resolve();
      });
    });
    for (let sent = 0; sent < count; sent += 1) {
      demo.kill('SIGINT');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(await once(demo, 'exit')).toEqual([130, null]);
    expect(readdirSync(folder)).toEqual([]);
  });
});
