// Sensors for show: values that wander as real ones do, sent over real MQTT or a serial line.
import { connectAsync } from 'mqtt';
import type { MqttClient } from 'mqtt';

export interface Sensor {
  readonly device: string;
  /** The next reading, as a JSON document. */
  next(nowMs: number): string;
}

/** `random` is in [0, 1). */
export function openSensor(device: string, random: () => number): Sensor {
  let temperature = 15 + 10 * random();
  let humidity = 40 + 20 * random();
  return {
    device,
    next: (nowMs) => {
      temperature = wander(temperature, 0.2, 10, 35, random);
      humidity = wander(humidity, 0.5, 20, 80, random);
      const v = { temperature: rounded(temperature), humidity: rounded(humidity) };
      return JSON.stringify({ ts: nowMs, device, v });
    },
  };
}

export interface MqttFeed {
  /** Readings the gateway has acknowledged. */
  readonly acknowledged: number;
  close(): Promise<void>;
}

/** Publishes each sensor's reading with QoS 1 every `intervalMs`. */
export async function feedOverMqtt(
  port: number,
  sensors: readonly Sensor[],
  intervalMs: number,
): Promise<MqttFeed> {
  const client: MqttClient = await connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 500 });
  let acknowledged = 0;
  const publish = async (sensor: Sensor): Promise<void> => {
    try {
      await client.publishAsync(`sensors/${sensor.device}`, sensor.next(Date.now()), { qos: 1 });
      acknowledged += 1;
    } catch {
      // The feed is closing: what was not acknowledged was not promised.
    }
  };
  const timer = setInterval(() => sensors.forEach((sensor) => void publish(sensor)), intervalMs);
  return {
    get acknowledged() {
      return acknowledged;
    },
    close: async () => {
      clearInterval(timer);
      await client.endAsync(true);
    },
  };
}

function wander(value: number, step: number, low: number, high: number, random: () => number): number {
  return Math.min(high, Math.max(low, value + step * (2 * random() - 1)));
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
