// `tributary hash-password`: what stands for a password in the gateway's settings. The password comes by stdin, so that
// it is in no process list and no shell history.
import type { Command } from 'commander';
import { usageError } from './cli-error.ts';
import { printLine } from './output.ts';

const PASSWORD_BYTES_MAX = 1_024;

export function hashPasswordCommand(program: Command): void {
  program
    .command('hash-password')
    .description('Read a password from stdin and print its hash for mqtt.users')
    .action(async () => {
      const { hashPassword } = await import('../gateway/mqtt/users.ts');
      printLine(await hashPassword(await readPassword()));
    });
}

async function readPassword(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > PASSWORD_BYTES_MAX)
      throw usageError(`a password has at most ${PASSWORD_BYTES_MAX} characters`);
  }
  const password = text.replace(/\r?\n$/, '');
  if (password === '')
    throw usageError('the password is empty', "pipe it in: printf '%s' PASSWORD | tributary hash-password");
  return password;
}
