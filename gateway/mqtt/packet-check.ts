// What mqtt-packet lets through and MQTT 3.1.1 does not: sizes, packet ids, empty lists, texts. And what it does not let
// through but MQTT wants answered: a CONNECT of another version.
import { TributaryError } from '../../stream/errors.ts';
import type { AedesClient, AedesParser, WirePacket } from './aedes-inside.ts';
import { CONNECT_BYTES_MAX } from './options.ts';
import { filterProblem, topicProblem } from './topic.ts';

/** Return code 1, unacceptable protocol level (MQTT-3.1.2-2). */
const CONNACK_VERSION = Buffer.of(0x20, 2, 0, 1);
const WITH_PACKET_ID = new Set(['puback', 'pubrec', 'pubrel', 'pubcomp', 'subscribe', 'unsubscribe']);

/** From now on a bad packet ends the connection before aedes sees it, a large one before it is buffered. */
export function guardParser(client: AedesClient, packetBytesMax: number): void {
  const parser = client._parser;
  const parseLength = parser._parseLength.bind(parser);
  const newPacket = parser._newPacket.bind(parser);
  const emitError = parser._emitError.bind(parser);
  parser._parseLength = () => {
    if (!parseLength()) return false;
    const hasConnected = client.connecting || client.connected;
    const max = hasConnected ? packetBytesMax : Math.min(CONNECT_BYTES_MAX, packetBytesMax);
    return passes(parser, parser.packet.length > max ? ['packet_size', sizeText(parser.packet, max)] : null);
  };
  parser._emitError = (error) => {
    const text = versionProblem(parser.packet);
    if (text === null || client.connecting || client.connected) return emitError(error);
    client.conn.end(CONNACK_VERSION);
    emitError(new TributaryError('PROTOCOL_ERROR', text, { details: { reason: 'protocol_version' } }));
  };
  parser._newPacket = () => passes(parser, packetProblem(parser.packet)) && newPacket();
}

/** Why a CONNECT is refused for its version, or null: there are MQTT 3.1.1 (level 4) and 3.1, which has a name of its own. */
export function versionProblem({ cmd, protocolId, protocolVersion }: ConnectHead): string | null {
  if (cmd !== 'connect' || protocolVersion === undefined) return null;
  if (protocolVersion === 4 && protocolId === 'MQTT') return null;
  if (protocolVersion === 3 && protocolId === 'MQIsdp') return null;
  return `the client speaks ${protocolId} level ${protocolVersion}; make it use MQTT 3.1.1`;
}

/** Why this client id is refused, or null. */
export function clientIdProblem(clientId: string, isClean: boolean): string | null {
  if (clientId === '') return isClean ? null : 'a session to keep needs a client id (MQTT-3.1.3-8)';
  if (clientId.includes('\0')) return 'the client id holds U+0000';
  return /[\ud800-\udfff\ufffd]/u.test(clientId) ? 'the client id is not valid UTF-8' : null;
}

interface ConnectHead {
  readonly cmd: string;
  readonly protocolId?: string | undefined;
  readonly protocolVersion?: number | undefined;
}

type Problem = readonly [reason: string, text: string];

function passes(parser: AedesParser, problem: Problem | null): boolean {
  if (problem === null) return true;
  const [reason, text] = problem;
  parser._emitError(new TributaryError('PROTOCOL_ERROR', text, { details: { reason } }));
  return false;
}

function sizeText({ cmd, length }: WirePacket, max: number): string {
  return `a ${cmd} packet of ${length} bytes is larger than ${max}; send less or raise mqtt.packetBytesMax`;
}

function packetProblem(packet: WirePacket): Problem | null {
  const { cmd, messageId, qos = 0 } = packet;
  const hasId = WITH_PACKET_ID.has(cmd) || (cmd === 'publish' && qos > 0);
  if (hasId && !messageId) return ['packet_id', `a ${cmd} packet has the packet id 0`];
  if (cmd === 'publish') {
    const text = topicProblem(packet.topic ?? '');
    return text === null ? null : ['topic', text];
  }
  if (cmd !== 'subscribe' && cmd !== 'unsubscribe') return null;
  const filters = packet.subscriptions?.map(({ topic }) => topic) ?? packet.unsubscriptions ?? [];
  if (filters.length === 0) return ['malformed', `a ${cmd} packet names no filter`];
  for (const filter of filters) {
    const text = filterProblem(filter);
    if (text !== null) return ['filter', text];
  }
  return null;
}
