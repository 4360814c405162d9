// A user of a server who may do nothing.
import { fleet } from './signed-requests.ts';

/** Its keys, as programs that test refusals find them in their environment. */
export async function guestKeys(httpUrl: string): Promise<Record<string, string>> {
  const users = '/api/v1/access/users';
  await fleet(httpUrl, 'POST', users, { name: 'guest' });
  const { body } = await fleet(httpUrl, 'POST', `${users}/guest/keys`);
  return { GUEST_KEY_ID: String(body['accessKeyId']), GUEST_SECRET: String(body['secretAccessKey']) };
}
