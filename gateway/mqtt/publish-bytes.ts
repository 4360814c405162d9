// PUBLISH and PUBREL packets as bytes (MQTT 3.1.1, 3.3 and 3.6): what this folder writes to subscribers itself.
import type { Qos } from './aedes-inside.ts';

export interface OutgoingPublish {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly isRepeat: boolean;
  /** Without meaning for QoS 0. */
  readonly messageId: number;
}

const PUBLISH = 0x30;
const PUBREL = 0x62;

/** Everything in front of the payload. */
export function publishHead(packet: OutgoingPublish): Buffer {
  const topicBytes = Buffer.byteLength(packet.topic);
  const idBytes = packet.qos > 0 ? 2 : 0;
  const length = remainingLength(2 + topicBytes + idBytes + packet.payload.length);
  const head = Buffer.allocUnsafe(1 + length.length + 2 + topicBytes + idBytes);
  head[0] = PUBLISH | (packet.isRepeat ? 8 : 0) | (packet.qos << 1) | (packet.retain ? 1 : 0);
  let at = 1 + length.copy(head, 1);
  at = head.writeUInt16BE(topicBytes, at);
  at += head.write(packet.topic, at);
  if (idBytes > 0) head.writeUInt16BE(packet.messageId, at);
  return head;
}

export function pubrelBytes(messageId: number): Buffer {
  return Buffer.of(PUBREL, 2, messageId >> 8, messageId & 0xff);
}

/** Seven bits a byte, low group first; the eighth says that more follow. */
function remainingLength(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return Buffer.from(bytes);
}
