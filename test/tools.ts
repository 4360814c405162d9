// Tools of the machine that tests of real clients need, and what to install when one is missing.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'vitest';

const PACKAGES = {
  aws: 'awscli',
  java: 'default-jdk-headless',
  mosquitto: 'mosquitto',
  mosquitto_pub: 'mosquitto-clients',
  mosquitto_sub: 'mosquitto-clients',
  mvn: 'maven',
  openssl: 'openssl',
  script: 'bsdutils',
  socat: 'socat',
  strace: 'strace',
} as const;

export type Tool = keyof typeof PACKAGES;

/** Skips the test, with the package to install, when a tool is missing. */
export function needs(context: TestContext, ...tools: Tool[]): void {
  for (const tool of tools) {
    if (!isThere(tool))
      context.skip(`${tool} is not on this machine; install it: apt-get install ${PACKAGES[tool]}`);
  }
}

export function isThere(tool: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
