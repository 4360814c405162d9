// `tributary access`: users of a server, their keys and policies, and what became of their requests.
import type { Command } from 'commander';
import type { AccessFlags, AuditFlags, CheckFlags, SessionFlags } from './access.ts';
import { positive } from './positive.ts';

export function accessCommand(program: Command): void {
  const access = program.command('access').description('Users of a server, their keys and policies');
  userCommands(access.command('user').description('Users: create, list, show, remove'));
  keyCommands(access.command('key').description('Access keys of users; a secret is printed once'));
  policyCommands(access.command('policy').description('Policies of users, IAM JSON documents'));
  const rootKey = access.command('root-key').description('Access keys of the root; only it sees them');
  onServer(rootKey.command('ls'))
    .description('List the keys of the root')
    .action(async (flags: AccessFlags) => (await import('./access.ts')).listRootKeys(flags));
  onServer(rootKey.command('rm <key-id>'))
    .description(
      'Remove a key of the root; one in the environment of the server comes back at its next start',
    )
    .action(async (id: string, flags: AccessFlags) => (await import('./access.ts')).removeRootKey(id, flags));
  onServer(access.command('check <user> <action> [resource]'))
    .description('Ask whether a user may do something, e.g. kinesis:PutRecord; exits 1 when not')
    .option('--source-address <ip>', 'as if the request came from there')
    .action(async (user: string, action: string, resource: string | undefined, flags: CheckFlags) =>
      (await import('./access.ts')).checkAccess(user, action, resource, flags),
    );
  onServer(access.command('session'))
    .description('Make temporary credentials of those in the environment, as lines for a shell')
    .option('--minutes <number>', 'how long they are good, 15..2160', positive, 720)
    .option('--policy <file>', 'IAM JSON document that bounds what they may do')
    .action(async (flags: SessionFlags) => (await import('./access.ts')).makeSession(flags));
  onServer(access.command('audit'))
    .description('Print the newest entries of the audit log: changes and refusals')
    .option('--limit <number>', 'how many, at most 1000', positive, 100)
    .action(async (flags: AuditFlags) => (await import('./access.ts')).printAudit(flags));
}

function userCommands(user: Command): void {
  onServer(user.command('create <name>'))
    .description('Create a user, who may do nothing yet')
    .action(async (name: string, flags: AccessFlags) =>
      (await import('./access.ts')).createUser(name, flags),
    );
  onServer(user.command('ls'))
    .description('List the users with their keys and policies')
    .action(async (flags: AccessFlags) => (await import('./access.ts')).listUsers(flags));
  onServer(user.command('rm <name>'))
    .description('Remove a user with all keys and policies')
    .requiredOption('--yes', 'really: its keys cannot be had back')
    .action(async (name: string, flags: AccessFlags) =>
      (await import('./access.ts')).removeUser(name, flags),
    );
}

function keyCommands(key: Command): void {
  onServer(key.command('create <user>'))
    .description('Make an access key; a user has at most two')
    .action(async (user: string, flags: AccessFlags) =>
      (await import('./access.ts')).createKey(user, undefined, flags),
    );
  onServer(key.command('rotate <user> <key-id>'))
    .description('Make an access key in the place of another, which ends at once')
    .action(async (user: string, id: string, flags: AccessFlags) =>
      (await import('./access.ts')).createKey(user, id, flags),
    );
  for (const [verb, active] of [
    ['enable', true],
    ['disable', false],
  ] as const)
    onServer(key.command(`${verb} <user> <key-id>`))
      .description(active ? 'Let a disabled key sign again' : 'Refuse a key until it is enabled again')
      .action(async (user: string, id: string, flags: AccessFlags) =>
        (await import('./access.ts')).switchKey(user, id, active, flags),
      );
  onServer(key.command('rm <user> <key-id>'))
    .description('Delete an access key')
    .action(async (user: string, id: string, flags: AccessFlags) =>
      (await import('./access.ts')).deleteKey(user, id, flags),
    );
}

function policyCommands(policy: Command): void {
  onServer(policy.command('put <user> <policy> <file>'))
    .description('Give a user a policy, or replace it; - reads the document from stdin')
    .action(async (user: string, name: string, file: string, flags: AccessFlags) =>
      (await import('./access.ts')).putPolicy(user, name, file, flags),
    );
  onServer(policy.command('show <user> [policy]'))
    .description('Print the policies of a user, or one of them as it was given')
    .action(async (user: string, name: string | undefined, flags: AccessFlags) =>
      (await import('./access.ts')).showPolicies(user, name, flags),
    );
  onServer(policy.command('rm <user> <policy>'))
    .description('Take a policy away from a user')
    .action(async (user: string, name: string, flags: AccessFlags) =>
      (await import('./access.ts')).removePolicy(user, name, flags),
    );
}

function onServer(command: Command): Command {
  return command.option('--server <url>', 'server to ask').option('--json', 'print one JSON document');
}
