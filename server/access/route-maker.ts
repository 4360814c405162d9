// One route of the access API: its action decides who may take it.
import type { ApiRoute } from '../wire/json-api.ts';

export type RouteMaker = (
  method: ApiRoute['method'],
  path: string,
  action: string,
  handle: ApiRoute['handle'],
) => ApiRoute;
