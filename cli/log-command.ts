// `tributary log`: the files of a server or a gateway, read without the program that wrote them.
import type { Command } from 'commander';
import { openLog } from '../runtime/log-writer.ts';
import { EXIT } from './cli-error.ts';
import { printLaneRows, printShards } from './log-tables.ts';
import { printDocument, printLine, printTable, printable } from './output.ts';
import { positive } from './positive.ts';
import type { TailFlags } from './log-tail.ts';
import { progressBar } from './progress-bar.ts';

interface Flags {
  readonly json?: boolean;
}

export function logCommand(program: Command): void {
  const log = program.command('log').description('The record log of a data folder');
  log
    .command('verify <path>')
    .description('Read every block of a data folder or a store file and say what is damaged')
    .option('--json', 'print one JSON document')
    .action(verify);
  log
    .command('inspect <path>')
    .description(
      'Show what is in a data folder or a store file; the program may run, the file may be damaged',
    )
    .option('--json', 'print one JSON document for each file')
    .action(inspect);
  log
    .command('tail <path>')
    .description('Show the newest records of a data folder or a store file; the program may run')
    .option('--stream <name>', 'of this stream only')
    .option('--limit <count>', 'records of each shard', positive, 10)
    .option('--json', 'print one JSON document for each record')
    .action(async (path: string, flags: TailFlags) => {
      const { tailLog } = await import('./log-tail.ts');
      tailLog(path, flags);
    });
  log
    .command('salvage <path>')
    .description('Make a sound store of a damaged one; the damaged file is kept')
    .option('--to <file>', 'write there instead of in its place')
    .option('--json', 'print one JSON document')
    .action(salvage);
}

async function verify(path: string, flags: Flags): Promise<void> {
  const { verifyFolder } = await import('../server/log-files.ts');
  const { schema, ...found } = await verifyFolder(path);
  process.exitCode = found.ok ? EXIT.ok : EXIT.failed;
  if (flags.json === true) return printDocument(schema, found);
  const streams = Object.entries(found.streams);
  printTable(
    ['STREAM', 'RECORDS', 'LOST'],
    streams.map(([name, { records, lostRecords = 0 }]) => [name, String(records), String(lostRecords)]),
  );
  for (const { kind, shard, detail } of found.damage)
    printLine(printable(`! ${kind} ${shard ?? ''}: ${detail}`));
  const verdict = found.ok ? 'sound' : 'DAMAGED';
  const lost = found.lostRecords === 0 ? '' : `, ${found.lostRecords} lost earlier`;
  printLine(`${verdict}: ${found.records} records, ${found.bytes} bytes in ${path}${lost}`);
}

async function inspect(path: string, flags: Flags): Promise<void> {
  const { inspectStore, storeFilesIn } = await import('../server/log-files.ts');
  const { LANE_STATE_PREFIXES, laneStatesOf } = await import('../gateway/lane-states.ts');
  for (const file of storeFilesIn(path)) {
    const { schema, meta, ...found } = inspectStore(file, LANE_STATE_PREFIXES);
    const laneStates = laneStatesOf(meta);
    if (found.damage.length > 0) process.exitCode = EXIT.failed;
    if (flags.json === true) printDocument(schema, { ...found, laneStates });
    else {
      const { format, pages, freePages, transaction } = found;
      const kind = format === null ? 'format unknown' : `format ${format.version}, layout ${format.layout}`;
      printLine(`${file}: ${kind}, ${found.fileBytes} bytes, transaction ${transaction ?? 'unknown'}`);
      printLine(`${pages} pages, ${freePages ?? 'unknown'} free`);
      printShards(found.shards, Date.now());
      printLaneRows(found.shards, laneStates);
      for (const damage of found.damage) printLine(printable(`! ${damage}`));
    }
  }
}

async function salvage(path: string, flags: Flags & { readonly to?: string }): Promise<void> {
  const { salvageByHand } = await import('../server/log-files.ts');
  const log = openLog('salvage', { level: 'warn' });
  const bar = progressBar(process.stderr);
  const onProgress = (done: number, total: number): void => bar.show(done, total);
  const report = await salvageByHand(path, { to: flags.to, log, onProgress });
  bar.end();
  if (report === null) {
    if (flags.json === true) return printDocument('tributary.log-salvage/1', { sound: true });
    return printLine(`${path} is sound: nothing was done`);
  }
  const { schema, ...found } = report;
  if (flags.json === true) return printDocument(schema, found);
  printTable(
    ['STREAM', 'RECORDS', 'LOST'],
    Object.entries(found.streams).map(([name, { records, lostRecords = 0 }]) => [
      name,
      String(records),
      String(lostRecords),
    ]),
  );
  for (const note of found.notes) printLine(printable(`! ${note}`));
  printLine(`${found.records} records, ${found.bytes} bytes are in ${found.salvagedFile}`);
  printLine(`${found.lostRecords} records and ${found.lostRows} rows are lost, as far as is known`);
  printLine(`the damaged file is kept as ${found.damagedFile}`);
}
