// The parts of aedes 1.2 that this folder relies on and that its types leave out. Nothing else reaches inside.
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Aedes, Client, PublishPacket } from 'aedes';
import { assert } from '../../stream/errors.ts';

export type Qos = 0 | 1 | 2;
export type Done = (error?: Error | null) => void;

/** A packet as mqtt-packet has parsed it, of any kind. */
export interface WirePacket {
  readonly cmd: string;
  /** Remaining length; -1 until it is known. */
  readonly length: number;
  /** Of CONNECT. */
  readonly protocolId?: string;
  /** Of CONNECT, without the bit that marks a bridge. */
  readonly protocolVersion?: number;
  readonly topic?: string;
  readonly qos?: number;
  readonly messageId?: number;
  readonly subscriptions?: readonly { readonly topic: string }[];
  readonly unsubscriptions?: readonly string[];
}

export interface AedesParser extends EventEmitter {
  packet: WirePacket;
  _parseLength(): boolean;
  _newPacket(): boolean;
  _emitError(error: Error): void;
}

/** A packet on its way to a subscriber. brokerId is null on the replay of a retained one. */
export type RoutedPacket = PublishPacket & {
  readonly brokerId: string | null;
  readonly brokerCounter: number;
};

export type Deliver = (packet: RoutedPacket, done: () => void) => void;

export interface AedesClient extends Client {
  /** Null until CONNECT has been read. */
  id: string;
  connackSent: boolean;
  will: PublishPacket | null;
  /** One and a half of what the client asked for, milliseconds; -1 when it asked for none. */
  _keepaliveInterval: number;
  /** DISCONNECT has come. */
  _disconnected: boolean;
  deliver0: Deliver;
  deliverQoS: Deliver;
  _parser: AedesParser & { parse(bytes: Buffer): unknown };
  /** Packets whose handling has not ended, and 1 more before the first read. */
  _parsingBatch: number;
  _paused?: boolean;
  /** Ends the handling of one packet; reads on after the last. */
  _nextBatch: () => void;
}

interface Emitter {
  emit(packet: unknown, done: Done): unknown;
}

interface HubInside {
  readonly mq: Emitter;
  readonly clients: Record<string, AedesClient | undefined>;
}

export function insideHub(hub: Aedes): HubInside {
  return hub as unknown as HubInside;
}

/** Also the check that a newer aedes has not moved what is overridden. */
export function insideClient(client: Client, socket: Socket): AedesClient {
  const inside = client as AedesClient;
  assert(inside.conn === socket, 'an aedes client keeps its connection');
  assert(typeof inside.deliver0 === 'function', 'aedes delivers QoS 0 through client.deliver0');
  assert(typeof inside.deliverQoS === 'function', 'aedes delivers QoS 1 and 2 through client.deliverQoS');
  assert(inside._parsingBatch === 1, 'aedes counts the packets it handles in _parsingBatch');
  assert(socket.listeners('readable').includes(inside._nextBatch), 'aedes reads in _nextBatch');
  assert(typeof inside._parser._parseLength === 'function', 'mqtt-packet reads lengths in _parseLength');
  assert(typeof inside._parser._newPacket === 'function', 'mqtt-packet hands packets on in _newPacket');
  return inside;
}
