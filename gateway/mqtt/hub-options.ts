// The options and hooks aedes is run with: every one that has a default of its own is set here.
import type { AedesOptions, Client } from 'aedes';
import type { AedesClient, Qos } from './aedes-inside.ts';
import type { Connection } from './connection.ts';
import { authenticate, preConnect } from './handshake.ts';
import type { HandshakeParts } from './handshake.ts';
import type { MqttLimits } from './options.ts';
import type { Persistence } from './persistence.ts';
import type { PublishGate } from './publish-gate.ts';
import type { Refusals } from './refusals.ts';
import { TOPIC_LEVELS_MAX } from './topic.ts';

export interface HubOptionParts extends HandshakeParts {
  readonly limits: MqttLimits;
  readonly persistence: Persistence;
  readonly gate: PublishGate;
  readonly connectionOf: (client: Client) => Connection | undefined;
  readonly refused: Refusals;
}

const HEARTBEAT_MS = 60_000;
/** Packets sent on without waiting for CONNACK: those of one read or two. */
const QUEUED_BEFORE_CONNACK_MAX = 1_000;

export function hubOptions(parts: HubOptionParts): AedesOptions {
  const { limits, persistence, gate } = parts;
  return {
    persistence,
    concurrency: 100,
    heartbeatInterval: HEARTBEAT_MS,
    connectTimeout: limits.connectTimeoutMs,
    drainTimeout: limits.drainTimeoutMs,
    // Any keepalive is a client's own choice; without one TCP keepalive finds the dead.
    keepaliveLimit: 0,
    queueLimit: QUEUED_BEFORE_CONNACK_MAX,
    maxInflightInbound: limits.inboundInflightMax,
    // Of MQTT 3.1 clients only.
    maxClientsIdLength: 23,
    maxTopicLevels: TOPIC_LEVELS_MAX,
    preConnect: (client, packet, done) => {
      parts.connectionOf(client)?.identify(packet.clientId);
      preConnect(client as AedesClient, packet, done, parts);
    },
    authenticate: (client, username, password, done) =>
      authenticate(client as AedesClient, username, password, done, parts),
    authorizePublish: (client, packet, done) => gate.authorize(client as AedesClient | null, packet, done),
    authorizeSubscribe: (client, { topic, qos }, done) => {
      // Null is SUBACK 0x80.
      done(null, isGranted(client, topic, qos, parts) ? { topic, qos } : null);
    },
  };
}

function isGranted(
  client: Client,
  filter: string,
  qos: Qos,
  { limits, connectionOf, refused }: HubOptionParts,
): boolean {
  const filters = connectionOf(client)?.filters;
  if (filters === undefined) return false;
  if (!filters.has(filter) && filters.size >= limits.filtersPerClientMax) {
    refused.add('filters_max', { clientId: client.id, filter });
    return false;
  }
  filters.grant(filter, qos);
  return true;
}
