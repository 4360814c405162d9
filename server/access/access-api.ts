// The administration of access under /api/v1: users, their keys and policies, sessions, and the audit log.
import { z } from 'zod';
import type { Caller } from './caller.ts';
import { newestEntries } from './audit-reader.ts';
import type { AccessKeys } from './access-keys.ts';
import type { Authorizer } from './authorizer.ts';
import { reasonOf } from './authorizer.ts';
import { userArn } from './principal.ts';
import type { Principal } from './principal.ts';
import { SESSION_MS_DEFAULT, SESSION_MS_MAX, SESSION_MS_MIN } from './sessions.ts';
import type { Sessions } from './sessions.ts';
import { mintSession } from './mint-session.ts';
import type { RouteMaker } from './route-maker.ts';
import { rootKeyRoutes } from './root-key-routes.ts';
import type { UserKey, UserRow } from './user-row.ts';
import type { Users } from './users.ts';
import { BadBody, parseJson } from '../wire/json-body.ts';
import type { ApiCall, ApiRoute } from '../wire/json-api.ts';
import { jsonReply } from '../wire/reply.ts';
import type { Reply } from '../wire/reply.ts';

export interface AccessApiParts {
  readonly keys: AccessKeys;
  readonly users: Users;
  readonly sessions: Sessions;
  readonly authorizer: Authorizer;
  readonly root: Principal;
  readonly auditPath: string;
}

const AUDIT_ENTRIES_DEFAULT = 100;
const AUDIT_ENTRIES_MAX = 1_000;
const RESOURCE_CHARS_MAX = 2_048;

const userRequest = z.strictObject({ name: z.string() });
const keyRequest = z.strictObject({ replaces: z.string().optional() });
const keyChange = z.strictObject({ active: z.boolean() });
const policyRequest = z.strictObject({ document: z.string() });
const sessionRequest = z.strictObject({
  durationMs: z.int().min(SESSION_MS_MIN).max(SESSION_MS_MAX).default(SESSION_MS_DEFAULT),
  policy: z.string().nullable().default(null),
});
const checkRequest = z.strictObject({
  user: z.string(),
  action: z.string().regex(/^[a-zA-Z0-9-]+:[a-zA-Z0-9]+$/, 'must be like kinesis:PutRecord'),
  resource: z.string().min(1).max(RESOURCE_CHARS_MAX).default('*'),
  sourceAddress: z.union([z.ipv4(), z.ipv6()]).optional(),
});

const USERS = '/api/v1/access/users';
const NAME = '([^/]{1,200})';

export function accessRoutes(parts: AccessApiParts): ApiRoute[] {
  const { users, root } = parts;
  const onUser = ([name = '']: readonly string[]): string => userArn(root.accountId, name);
  const route = (
    method: ApiRoute['method'],
    path: string,
    action: string,
    handle: ApiRoute['handle'],
  ): ApiRoute => ({
    method,
    path: new RegExp(`^${path}$`),
    action: `tributary:${action}`,
    handle,
    ...(path.includes(NAME) ? { resource: onUser } : {}),
  });
  const user = `${USERS}/${NAME}`;
  return [
    route('GET', USERS, 'ListUsers', () => jsonReply(200, { users: users.list().map(shownUser) })),
    route('POST', USERS, 'CreateUser', async ({ body }) => {
      const { name } = parseJson(body, userRequest);
      return jsonReply(200, shownUser(await users.create(name)));
    }),
    route('GET', user, 'GetUser', ({ parameters: [name = ''] }) => {
      const row = users.get(name);
      return jsonReply(200, { ...shownUser(row), policies: row.policies });
    }),
    route('DELETE', user, 'DeleteUser', async ({ parameters: [name = ''] }) => {
      await users.remove(name);
      return jsonReply(200, { name });
    }),
    ...keyRoutes(route, user, users),
    ...policyRoutes(route, user, users),
    ...rootKeyRoutes(route, parts.keys),
    {
      ...route('POST', '/api/v1/access/check', 'SimulatePolicy', (call) => check(call, parts)),
      isQuestion: true,
    },
    route('GET', '/api/v1/access/audit', 'ReadAuditLog', (call) => audit(call, parts.auditPath)),
    { ...route('POST', '/api/v1/sessions', 'CreateSession', (call) => session(call, parts)), isFree: true },
  ];
}

function keyRoutes(route: RouteMaker, user: string, users: Users): ApiRoute[] {
  const key = `${user}/keys/([A-Z0-9]{16,128})`;
  return [
    route('POST', `${user}/keys`, 'CreateAccessKey', async ({ body, parameters: [name = ''] }) => {
      const made = await users.createKey(name, parseJson(body, keyRequest).replaces);
      return jsonReply(200, { ...shownKey(made), user: name, secretAccessKey: made.secretAccessKey });
    }),
    route('PATCH', key, 'UpdateAccessKey', async ({ body, parameters: [name = '', id = ''] }) => {
      const { active } = parseJson(body, keyChange);
      await users.setKeyActive(name, id, active);
      return jsonReply(200, { user: name, accessKeyId: id, active });
    }),
    route('DELETE', key, 'DeleteAccessKey', async ({ parameters: [name = '', id = ''] }) => {
      await users.deleteKey(name, id);
      return jsonReply(200, { user: name, accessKeyId: id });
    }),
  ];
}

function policyRoutes(route: RouteMaker, user: string, users: Users): ApiRoute[] {
  const policy = `${user}/policies/${NAME}`;
  return [
    route('PUT', policy, 'PutUserPolicy', async ({ body, parameters: [name = '', policyName = ''] }) => {
      await users.putPolicy(name, policyName, parseJson(body, policyRequest).document);
      return jsonReply(200, { user: name, policy: policyName });
    }),
    route('DELETE', policy, 'DeleteUserPolicy', async ({ parameters: [name = '', policyName = ''] }) => {
      await users.deletePolicy(name, policyName);
      return jsonReply(200, { user: name, policy: policyName });
    }),
  ];
}

function shownUser(row: UserRow): object {
  return {
    name: row.name,
    id: row.id,
    createdAt: new Date(row.createdAtMs).toISOString(),
    keys: row.keys.map(shownKey),
    policyNames: Object.keys(row.policies),
  };
}

/** Never the secret: that is shown once, when it is made. */
function shownKey({ accessKeyId, createdAtMs, isActive }: UserKey): object {
  return { accessKeyId, createdAt: new Date(createdAtMs).toISOString(), active: isActive };
}

function check({ body, caller }: ApiCall, { users, authorizer }: AccessApiParts): Reply {
  const { user, action, resource, sourceAddress } = parseJson(body, checkRequest);
  const asked: Caller = {
    ...caller,
    principal: users.principalOf(user),
    sourceAddress: sourceAddress ?? caller.sourceAddress,
  };
  const decision = authorizer.decide(asked, action, resource);
  const allowed = decision.effect === 'allow';
  return jsonReply(200, {
    allowed,
    source: decision.source,
    ...('sid' in decision && decision.sid !== '' ? { sid: decision.sid } : {}),
    reason: allowed ? `because of a statement of the ${decision.source} policy` : reasonOf(decision, action),
  });
}

async function audit({ query }: ApiCall, path: string): Promise<Reply> {
  const text = query.get('limit') ?? String(AUDIT_ENTRIES_DEFAULT);
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > AUDIT_ENTRIES_MAX) throw new BadBody(`limit must be 1..${AUDIT_ENTRIES_MAX}`);
  return jsonReply(200, { entries: await newestEntries(path, limit) });
}

function session({ body, caller }: ApiCall, { sessions }: AccessApiParts): Reply {
  const { durationMs, policy } = parseJson(body, sessionRequest);
  const { expiresAtMs, ...credentials } = mintSession(sessions, caller, durationMs, policy);
  return jsonReply(200, { ...credentials, expiresAt: new Date(expiresAtMs).toISOString() });
}
