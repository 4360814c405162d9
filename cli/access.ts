// Administers the access of a server and prints what it answers.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { CliError, EXIT, usageError } from './cli-error.ts';
import { printDocument, printLine, printNotice, printTable, printable } from './output.ts';
import { answerOf, openServerApi } from './server-api.ts';
import type { ServerFlag } from './server-api.ts';

export interface AccessFlags extends ServerFlag {
  readonly json?: boolean;
}

export interface CheckFlags extends AccessFlags {
  readonly sourceAddress?: string;
}

export interface SessionFlags extends AccessFlags {
  readonly minutes: number;
  readonly policy?: string;
}

export interface AuditFlags extends AccessFlags {
  readonly limit: number;
}

const STDIN = 0;
const USERS = '/api/v1/access/users';
const ROOT_KEYS = '/api/v1/access/root-keys';

const keyAnswer = z.object({ accessKeyId: z.string(), createdAt: z.string(), active: z.boolean() });
const userAnswer = z.object({
  name: z.string(),
  id: z.string(),
  createdAt: z.string(),
  keys: z.array(keyAnswer),
  policyNames: z.array(z.string()),
});
const newKey = keyAnswer.extend({ user: z.string(), secretAccessKey: z.string() });
const policiesAnswer = userAnswer.extend({ policies: z.record(z.string(), z.string()) });
const rootKeysAnswer = z.object({ accessKeyIds: z.array(z.string()) });
const checkAnswer = z.object({
  allowed: z.boolean(),
  source: z.string(),
  sid: z.string().optional(),
  reason: z.string(),
});
const sessionAnswer = z.object({
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  sessionToken: z.string(),
  expiresAt: z.string(),
});
const auditAnswer = z.object({
  entries: z.array(
    z.looseObject({
      time: z.string(),
      outcome: z.string(),
      action: z.string(),
      resource: z.string().optional(),
      user: z.string().optional(),
      sourceAddress: z.string().optional(),
      error: z.string().optional(),
      notListed: z.number().optional(),
    }),
  ),
});

export async function createUser(name: string, flags: AccessFlags): Promise<void> {
  const api = openServerApi(flags);
  const user = answerOf(userAnswer, await api.fleet('POST', USERS, { name }), api);
  if (flags.json === true) return printDocument('tributary.access-user/1', user);
  printLine(`created ${printable(user.name)}; it may do nothing before it has a policy`);
}

export async function listUsers(flags: AccessFlags): Promise<void> {
  const api = openServerApi(flags);
  const answer = answerOf(z.object({ users: z.array(userAnswer) }), await api.fleet('GET', USERS), api);
  if (flags.json === true) return printDocument('tributary.access-users/1', answer);
  printTable(
    ['NAME', 'ID', 'CREATED', 'KEYS', 'POLICIES'],
    answer.users.map((user) => [
      user.name,
      user.id,
      user.createdAt,
      user.keys.map((key) => (key.active ? key.accessKeyId : `${key.accessKeyId} (disabled)`)).join(', '),
      user.policyNames.join(', '),
    ]),
  );
}

export async function removeUser(name: string, flags: AccessFlags): Promise<void> {
  await openServerApi(flags).fleet('DELETE', userPath(name));
  done('tributary.access-user-rm/1', { name }, `removed ${printable(name)}`, flags);
}

/** The secret is on stdout and nowhere else; the server shows it never again. */
export async function createKey(
  user: string,
  replaces: string | undefined,
  flags: AccessFlags,
): Promise<void> {
  const api = openServerApi(flags);
  const request = replaces === undefined ? {} : { replaces };
  const key = answerOf(newKey, await api.fleet('POST', `${userPath(user)}/keys`, request), api);
  if (flags.json === true) return printDocument('tributary.access-key/1', key);
  printNotice(`the secret of ${printable(user)} is shown only now:`);
  for (const who of ['AWS', 'TRIBUTARY']) {
    printLine(`${who}_ACCESS_KEY_ID=${key.accessKeyId}`);
    printLine(`${who}_SECRET_ACCESS_KEY=${key.secretAccessKey}`);
  }
}

export async function switchKey(
  user: string,
  id: string,
  active: boolean,
  flags: AccessFlags,
): Promise<void> {
  await openServerApi(flags).fleet('PATCH', keyPath(user, id), { active });
  const text = `${active ? 'enabled' : 'disabled'} ${printable(id)}`;
  done('tributary.access-key-switch/1', { user, accessKeyId: id, active }, text, flags);
}

export async function deleteKey(user: string, id: string, flags: AccessFlags): Promise<void> {
  await openServerApi(flags).fleet('DELETE', keyPath(user, id));
  done('tributary.access-key-rm/1', { user, accessKeyId: id }, `deleted ${printable(id)}`, flags);
}

export async function listRootKeys(flags: AccessFlags): Promise<void> {
  const api = openServerApi(flags);
  const answer = answerOf(rootKeysAnswer, await api.fleet('GET', ROOT_KEYS), api);
  if (flags.json === true) return printDocument('tributary.access-root-keys/1', answer);
  for (const id of answer.accessKeyIds) printLine(printable(id));
}

export async function removeRootKey(id: string, flags: AccessFlags): Promise<void> {
  await openServerApi(flags).fleet('DELETE', `${ROOT_KEYS}/${encodeURIComponent(id)}`);
  done('tributary.access-root-key-rm/1', { accessKeyId: id }, `removed ${printable(id)}`, flags);
}

export async function putPolicy(user: string, name: string, file: string, flags: AccessFlags): Promise<void> {
  const document = textOf(file);
  await openServerApi(flags).fleet('PUT', policyPath(user, name), { document });
  done(
    'tributary.access-policy-put/1',
    { user, policy: name },
    `${printable(user)} has ${printable(name)}`,
    flags,
  );
}

export async function showPolicies(
  user: string,
  name: string | undefined,
  flags: AccessFlags,
): Promise<void> {
  const api = openServerApi(flags);
  const { policies } = answerOf(policiesAnswer, await api.fleet('GET', userPath(user)), api);
  const document = name === undefined ? undefined : policies[name];
  if (name !== undefined && document === undefined) {
    const message = `user ${user} has no policy ${name}`;
    throw new CliError({ exit: EXIT.notFound, code: 'NOT_FOUND', message });
  }
  const shown = name === undefined || document === undefined ? policies : { [name]: document };
  if (flags.json === true) return printDocument('tributary.access-policies/1', { user, policies: shown });
  if (document !== undefined) printLine(document.trimEnd());
  else for (const one of Object.keys(policies)) printLine(printable(one));
}

export async function removePolicy(user: string, name: string, flags: AccessFlags): Promise<void> {
  await openServerApi(flags).fleet('DELETE', policyPath(user, name));
  done('tributary.access-policy-rm/1', { user, policy: name }, `removed ${printable(name)}`, flags);
}

export async function checkAccess(
  user: string,
  action: string,
  resource: string | undefined,
  flags: CheckFlags,
): Promise<void> {
  const api = openServerApi(flags);
  const request = {
    user,
    action,
    ...(resource === undefined ? {} : { resource }),
    ...(flags.sourceAddress === undefined ? {} : { sourceAddress: flags.sourceAddress }),
  };
  const answer = answerOf(checkAnswer, await api.fleet('POST', '/api/v1/access/check', request), api);
  if (!answer.allowed) process.exitCode = EXIT.failed;
  if (flags.json === true) return printDocument('tributary.access-check/1', answer);
  const statement = answer.sid === undefined ? '' : ` (Sid ${answer.sid})`;
  printLine(printable(`${answer.allowed ? 'allowed' : 'denied'} ${answer.reason}${statement}`));
}

export async function makeSession(flags: SessionFlags): Promise<void> {
  const api = openServerApi(flags);
  const request = {
    durationMs: flags.minutes * 60_000,
    ...(flags.policy === undefined ? {} : { policy: textOf(flags.policy) }),
  };
  const session = answerOf(sessionAnswer, await api.fleet('POST', '/api/v1/sessions', request), api);
  if (flags.json === true) return printDocument('tributary.access-session/1', session);
  printNotice(`good until ${session.expiresAt}`);
  for (const who of ['AWS', 'TRIBUTARY']) {
    printLine(`${who}_ACCESS_KEY_ID=${session.accessKeyId}`);
    printLine(`${who}_SECRET_ACCESS_KEY=${session.secretAccessKey}`);
    printLine(`${who}_SESSION_TOKEN=${session.sessionToken}`);
  }
}

export async function printAudit(flags: AuditFlags): Promise<void> {
  const api = openServerApi(flags);
  const path = `/api/v1/access/audit?limit=${flags.limit}`;
  const { entries } = answerOf(auditAnswer, await api.fleet('GET', path), api);
  if (flags.json === true) return printDocument('tributary.access-audit/1', { entries });
  printTable(
    ['TIME', 'OUTCOME', 'ACTION', 'RESOURCE', 'USER', 'FROM'],
    entries.map((entry) => [
      entry.time,
      entry.error === undefined ? entry.outcome : `${entry.outcome} (${entry.error})`,
      entry.action,
      entry.notListed === undefined ? (entry.resource ?? '-') : `${entry.notListed} more, not listed`,
      entry.user ?? '-',
      entry.sourceAddress ?? '-',
    ]),
  );
}

function done(schema: string, document: object, text: string, flags: AccessFlags): void {
  if (flags.json === true) printDocument(schema, document);
  else printLine(text);
}

function userPath(user: string): string {
  return `${USERS}/${encodeURIComponent(user)}`;
}

function keyPath(user: string, id: string): string {
  return `${userPath(user)}/keys/${encodeURIComponent(id)}`;
}

function policyPath(user: string, name: string): string {
  return `${userPath(user)}/policies/${encodeURIComponent(name)}`;
}

function textOf(file: string): string {
  try {
    return readFileSync(file === '-' ? STDIN : file, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw usageError(`the policy ${file} cannot be read: ${reason}`);
  }
}
