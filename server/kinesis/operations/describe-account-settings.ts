// DescribeAccountSettings (Kinesis API, DescribeAccountSettings).
import type { KinesisContext } from '../context.ts';

export function describeAccountSettings(_input: object, { settings }: KinesisContext): Promise<object> {
  return Promise.resolve(settings.describe());
}
