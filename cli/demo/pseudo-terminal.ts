// A serial line without hardware: `script` (bsdutils) makes a pseudo-terminal; what is written here is read there.
import { spawn } from 'node:child_process';

export interface PseudoTerminal {
  /** The device a serial reader opens. */
  readonly path: string;
  write(text: string): void;
  close(): void;
}

const OPEN_MS = 5_000;
const INSIDE = 'stty raw -echo; tty; exec sleep 1000000';

/** Null when this machine has no `script`. */
export function openPseudoTerminal(): Promise<PseudoTerminal | null> {
  return new Promise((resolve) => {
    const child = spawn('script', ['-qefc', INSIDE, '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'] });
    const deadline = setTimeout(() => give(null), OPEN_MS);
    let printed = '';
    const give = (terminal: PseudoTerminal | null): void => {
      clearTimeout(deadline);
      if (terminal === null) child.kill();
      resolve(terminal);
    };
    child.once('error', () => give(null));
    child.stdin.on('error', () => undefined);
    child.stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString('latin1');
      const path = /(\/dev\/\S+)\s/.exec(printed)?.[1];
      if (path === undefined) return;
      give({ path, write: (text) => void child.stdin.write(text), close: () => void child.kill('SIGKILL') });
    });
  });
}
