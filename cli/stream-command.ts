// `tributary stream`: what may be asked of the streams of a server.
import type { Command } from 'commander';
import { positive } from './positive.ts';
import type { PutFlags, StreamFlags } from './stream.ts';
import type { TailFlags } from './stream-tail.ts';

export function streamCommand(program: Command): void {
  const stream = program.command('stream').description('Streams: create, list, write, read');
  onServer(stream.command('create <name>'))
    .description('Create a stream')
    .option('--shards <number>', 'shards; each takes 1,000 records or 1 MiB a second', positive, 1)
    .action(async (name: string, flags: StreamFlags & { shards: number }) =>
      (await import('./stream.ts')).createStream(name, flags),
    );
  onServer(stream.command('ls'))
    .description('List the streams')
    .action(async (flags: StreamFlags) => (await import('./stream.ts')).listStreams(flags));
  onServer(stream.command('rm <name>'))
    .description('Delete a stream with all its records')
    .requiredOption('--yes', 'really: the records cannot be had back')
    .action(async (name: string, flags: StreamFlags) =>
      (await import('./stream.ts')).deleteStream(name, flags),
    );
  onServer(stream.command('put <name>'))
    .description('Write one record: --data, or what comes on stdin')
    .option('--data <text>', 'the record')
    .option('--partition-key <key>', 'decides the shard (default: a random one)')
    .action(async (name: string, flags: PutFlags) => (await import('./stream.ts')).putRecord(name, flags));
  onServer(stream.command('tail <name>'))
    .description('Print the records of a stream, one a line')
    .option('--from <where>', 'trim-horizon or latest (default: latest with --follow, else trim-horizon)')
    .option('--follow', 'go on with what is written from now on')
    .option('--limit <number>', 'stop after so many records', positive)
    .action(async (name: string, flags: TailFlags) =>
      (await import('./stream-tail.ts')).tailStream(name, flags),
    );
}

function onServer(command: Command): Command {
  return command.option('--server <url>', 'server to ask').option('--json', 'print JSON');
}
