// `tributary log`: the files of a server or a gateway, read without the program that wrote them.
import type { Command } from 'commander';
import { EXIT } from './cli-error.ts';
import { printDocument, printLine, printTable, printable } from './output.ts';

export function logCommand(program: Command): void {
  const log = program.command('log').description('The record log of a data folder');
  log
    .command('verify <dir>')
    .description('Read every block of a data folder and say what is damaged')
    .option('--json', 'print one JSON document')
    .action(async (dir: string, flags: { json?: boolean }) => {
      const { verifyFolder } = await import('../server/verify-log.ts');
      const { schema, ...found } = await verifyFolder(dir);
      process.exitCode = found.ok ? EXIT.ok : EXIT.failed;
      if (flags.json === true) return printDocument(schema, found);
      const streams = Object.entries(found.streams);
      printTable(
        ['STREAM', 'RECORDS'],
        streams.map(([name, { records }]) => [name, String(records)]),
      );
      for (const { kind, shard, detail } of found.damage)
        printLine(printable(`! ${kind} ${shard ?? ''}: ${detail}`));
      const verdict = found.ok ? 'sound' : 'DAMAGED';
      printLine(`${verdict}: ${found.records} records, ${found.bytes} bytes in ${dir}`);
    });
}
