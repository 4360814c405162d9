// CONNECT: who is let in, and what must be known or forgotten about the client id before CONNACK.
import type { ConnectPacket } from 'aedes';
import { TributaryError } from '../../stream/errors.ts';
import type { AedesClient } from './aedes-inside.ts';
import type { InboundIds } from './inbound-ids.ts';
import { clientIdProblem, versionProblem } from './packet-check.ts';
import { topicProblem } from './topic.ts';
import type { Users } from './users.ts';

export interface HandshakeParts {
  readonly users: Users;
  readonly inboundIds: InboundIds;
  /** Whether the broker takes this client on: it is not stopping, and there is room. */
  readonly hasRoomFor: (clientId: string) => boolean;
}

/** Return codes of CONNACK (MQTT 3.1.1, 3.2.2.3). */
const BAD_VERSION = 1;
const ID_REJECTED = 2;
const UNAVAILABLE = 3;
const BAD_LOGIN = 4;
const NOT_AUTHORIZED = 5;

type PreConnectDone = (error: Error | null, isSuccessful: boolean) => void;
type LoginError = Error & { returnCode: number };
type LoginDone = (error: LoginError | null, isSuccessful: boolean | null) => void;

/** aedes' preConnect. */
export function preConnect(
  client: AedesClient,
  packet: ConnectPacket,
  done: PreConnectDone,
  parts: HandshakeParts,
): void {
  const refusal = connectProblem(packet, parts);
  if (refusal === null) {
    done(null, true);
    return;
  }
  // With an error aedes closes the connection, without one it would stay open for ever; either way it sends nothing.
  client.conn.end(Buffer.of(0x20, 2, 0, refusal.returnCode));
  done(refusal, false);
}

/** aedes' authenticate. */
export function authenticate(
  client: AedesClient,
  username: string | undefined,
  password: Uint8Array | undefined,
  done: LoginDone,
  parts: HandshakeParts,
): void {
  logIn(client, username, password, parts).then(
    () => done(null, true),
    (error: unknown) => {
      const isOurs = error instanceof Error && 'returnCode' in error;
      done(isOurs ? (error as LoginError) : refused(UNAVAILABLE, 'storage', 'the store fails', error), false);
    },
  );
}

function connectProblem(packet: ConnectPacket, parts: HandshakeParts): LoginError | null {
  const { clientId, clean = true, will } = packet;
  const versionText = versionProblem(packet);
  if (versionText !== null) return refused(BAD_VERSION, 'protocol_version', versionText);
  const idText = clientIdProblem(clientId, clean);
  if (idText !== null) return refused(ID_REJECTED, 'client_id', idText);
  const willText = will === undefined ? null : topicProblem(will.topic);
  if (willText !== null) return refused(NOT_AUTHORIZED, 'will_topic', `the will is refused: ${willText}`);
  if (!parts.hasRoomFor(clientId)) return refused(UNAVAILABLE, 'clients_max', 'no more clients are taken');
  return null;
}

async function logIn(
  client: AedesClient,
  username: string | undefined,
  password: Uint8Array | undefined,
  { users, inboundIds }: HandshakeParts,
): Promise<void> {
  const answer = await users.login(username, password);
  if (answer === 'anonymous') throw refused(NOT_AUTHORIZED, 'login', 'a user name is needed');
  if (answer === 'wrong') throw refused(BAD_LOGIN, 'login', 'the user name or the password is wrong');
  await inboundIds.attach(client.id, client, !client.clean);
  // The connection may have ended meanwhile; its end found nothing to let go of.
  if (client.closed) inboundIds.detach(client.id, client);
}

function refused(returnCode: number, reason: string, text: string, cause?: unknown): LoginError {
  const error = new TributaryError('PROTOCOL_ERROR', text, { details: { reason }, cause });
  return Object.assign(error, { returnCode });
}
