// The keys of the root. Only the root sees and removes them, whatever a policy says: whoever could take its last key away
// would own the server.
import { ApiProblem } from '../wire/api-problem.ts';
import type { ApiCall, ApiRoute } from '../wire/json-api.ts';
import { jsonReply } from '../wire/reply.ts';
import type { Reply } from '../wire/reply.ts';
import type { RouteMaker } from './route-maker.ts';
import type { AccessKeys } from './access-keys.ts';

const ROOT_KEYS = '/api/v1/access/root-keys';

export function rootKeyRoutes(route: RouteMaker, keys: AccessKeys): ApiRoute[] {
  return [
    route('GET', ROOT_KEYS, 'ListRootKeys', (call) => {
      checkRoot(call);
      return jsonReply(200, { accessKeyIds: keys.ids().toSorted() });
    }),
    route('DELETE', `${ROOT_KEYS}/(\\w{2,128})`, 'DeleteRootKey', (call) => remove(call, keys)),
  ];
}

async function remove(call: ApiCall, keys: AccessKeys): Promise<Reply> {
  checkRoot(call);
  const [id = ''] = call.parameters;
  // Hence the last one cannot go: it would have to sign its own end.
  if (id === call.caller.accessKeyId)
    throw new ApiProblem(409, 'KEY_IN_USE', 'the key that signs this request cannot be removed with it');
  if (await keys.remove(id)) return jsonReply(200, { accessKeyId: id });
  throw new ApiProblem(404, 'NOT_FOUND', `the root has no key ${id}`);
}

function checkRoot({ caller: { principal } }: ApiCall): void {
  if (principal.isRoot && principal.session === null) return;
  throw new ApiProblem(
    403,
    'ACCESS_DENIED',
    'only the root, with a key of its own, sees and removes its keys',
  );
}
