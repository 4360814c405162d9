// What an operator may set about the MQTT broker, and every maximum it works under.
import { RECORD_BYTES_MAX } from '../../stream/limits.ts';

export interface MqttUser {
  readonly name: string;
  /** `scrypt$N$r$p$salt$hash`, salt and hash in base64; `hashPassword` makes one. */
  readonly passwordHash: string;
}

/** Limits that are not given have their defaults. */
export interface MqttOptions extends Partial<MqttLimits> {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Without users, anonymous clients are let in on loopback addresses only, unless this is set. */
  readonly allowAnonymous?: boolean;
  readonly users?: readonly MqttUser[];
}

export interface MqttLimits {
  /** Remaining length of one packet. A larger one is refused at its header, before it is buffered. */
  readonly packetBytesMax: number;
  readonly clientsMax: number;
  readonly filtersPerClientMax: number;
  /** Persistent sessions; beyond it the one that has been away longest ends. */
  readonly sessionsMax: number;
  /** What waits for one subscriber, sent or not, until it is acknowledged. What comes on top is dropped. */
  readonly queueMessagesMax: number;
  readonly queueBytesMax: number;
  /** The same for all subscribers together. */
  readonly queuesBytesMax: number;
  readonly retainedMax: number;
  readonly retainedBytesMax: number;
  /** QoS 1 and 2 messages sent to one subscriber and not acknowledged. */
  readonly outboundInflightMax: number;
  /** QoS 2 messages of one publisher between PUBLISH and PUBREL. */
  readonly inboundInflightMax: number;
  /** The same for all publishers together, and of those away: each is a row in the store. */
  readonly inboundStoredMax: number;
  /** QoS 0 payloads that wait for the disk: at half of it their connection waits too, above it they are dropped. */
  readonly pendingQos0BytesMax: number;
  /** Bytes written to a subscriber and not taken by it; QoS 0 on top is dropped. */
  readonly unsentBytesMax: number;
  readonly connectTimeoutMs: number;
  /** A subscriber that takes nothing for so long is disconnected. */
  readonly drainTimeoutMs: number;
  /** How long an orderly close waits for what is in flight. */
  readonly closeTimeoutMs: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_MQTT_LIMITS: MqttLimits = {
  packetBytesMax: RECORD_BYTES_MAX,
  clientsMax: 1_000,
  filtersPerClientMax: 1_000,
  sessionsMax: 10_000,
  queueMessagesMax: 10_000,
  queueBytesMax: 16 * MIB,
  queuesBytesMax: 64 * MIB,
  retainedMax: 10_000,
  retainedBytesMax: 32 * MIB,
  outboundInflightMax: 100,
  inboundInflightMax: 1_000,
  inboundStoredMax: 100_000,
  pendingQos0BytesMax: 16 * MIB,
  unsentBytesMax: MIB,
  connectTimeoutMs: 30_000,
  drainTimeoutMs: 60_000,
  closeTimeoutMs: 5_000,
};

/** Connections that have not said CONNECT yet, on top of clientsMax. */
export const HANDSHAKES_MAX = 100;
/** A CONNECT holds at most five texts of 64 KiB; before it nothing larger is read. */
export const CONNECT_BYTES_MAX = 384 * 1024;
