/** From a pid to the first byte of a prompt: a session of ours, and `nsenter -a` with the very same bash. */
import type { Readable } from 'node:stream';
import { ReadStream } from 'node:tty';
import type { Visibility } from '../../src/api/debug-session.ts';
import { openTerminal } from '../../src/linux/terminal.ts';
import type { Container } from '../../test/integration/container.ts';
import { type Agent, start } from '../../test/integration/session.ts';

const shell = ['bash', '--norc', '-i'];
const prompt = /[$#] /;

/** What a session takes from the order to its prompt, in milliseconds; its end is not part of it. */
export async function sessionToPrompt(agent: Agent, container: Container, visibility: Visibility): Promise<number> {
  const from = performance.now();
  await using session = await start(agent, container, {
    tty: true,
    visibility,
    command: shell,
    survival: { record: {}, leaseMs: 900_000 },
  });
  await promptOf(session.stdout);
  return performance.now() - from;
}

/**
 * The toolbox stands in the container already, and the terminal is open: only the way in is measured. Started as the sessions' own
 * program is, and not by child_process, which alone takes 3 ms.
 */
export async function nsenterToPrompt({ kernel, deps }: Agent, { target }: Container): Promise<number> {
  const terminal = openTerminal(kernel, { uid: 0, gid: 5 });
  const output = new ReadStream(terminal.master);
  // EIO is how a terminal says that its last user has gone.
  output.on('error', () => {});
  try {
    const from = performance.now();
    const child = deps.entry.children.start({
      path: '/usr/bin/nsenter',
      argv: ['nsenter', '-t', `${target.pid}`, '-a', '/dev/crashcart/bin/bash', ...shell.slice(1)],
      env: { PATH: '/usr/bin:/bin', TERM: 'xterm' },
      descriptors: [terminal.slave, terminal.slave, terminal.slave],
    });
    await promptOf(output);
    const took = performance.now() - from;
    child.kill();
    await child.ended;
    return took;
  } finally {
    output.destroy();
    terminal[Symbol.dispose]();
  }
}

function promptOf(output: Readable): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = '';
    output.on('data', (chunk: Buffer) => {
      seen += chunk.toString('latin1');
      if (prompt.test(seen)) resolve();
    });
    output.once('close', () => reject(new Error(`it ended before its prompt: ${JSON.stringify(seen)}`)));
  });
}
