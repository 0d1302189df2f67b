import { spawn } from 'node:child_process';
import { defaultShell } from '../../api/names.ts';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { codeOfSignal, type Host, hasInput } from '../host.ts';
import type { Image } from '../image/find-image.ts';
import type { Node } from '../node.ts';
import { releaseMount } from '../state/mounts.ts';
import { identityOf } from '../state/records.ts';
import type { NodeTarget } from '../target/find.ts';
import { showTo } from './show.ts';

export interface RuntimeVisit {
  readonly target: NodeTarget;
  readonly image: Image;
  readonly command: readonly string[];
  readonly user?: string;
}

/** Shows the toolbox to the container, and leaves entering it to the runtime: `docker exec` and its like, with their rights and their log. */
export async function visitThroughRuntime(
  { target, image, command, user }: RuntimeVisit,
  node: Node,
  host: Host,
): Promise<number> {
  const tty = Boolean(host.stdin.isTTY && host.stdout.isTTY);
  const [program = '', ...args] = target.runtime.exec(target.candidate, {
    command: command.length > 0 ? command : tty ? defaultShell : defaultShell.slice(0, 1),
    tty,
    stdin: hasInput(),
    ...(user === undefined ? {} : { user }),
  });
  const owner = identityOf(host.pid);
  await showTo(target, image, node, owner);
  try {
    node.log.info(`running ${[program, ...args].join(' ')}`);
    return await runHere(program, args, host);
  } finally {
    const { kernel, entry, state } = node;
    await state.change(() => releaseMount({ kernel, entry, records: state.mounts }, target.mountNamespace, owner));
  }
}

const passedOn = ['SIGTERM', 'SIGHUP'] as const;

/** A program on our own streams; its exit code. Keys reach it from the terminal by themselves. */
export function runHere(program: string, args: readonly string[], host: Host): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], { stdio: 'inherit' });
    const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
    const ignore = (): void => {};
    for (const signal of passedOn) host.on(signal, forward);
    for (const signal of ['SIGINT', 'SIGQUIT'] as const) host.on(signal, ignore);
    const done = (): void => {
      for (const signal of passedOn) host.off(signal, forward);
      for (const signal of ['SIGINT', 'SIGQUIT'] as const) host.off(signal, ignore);
    };
    child.once('error', (cause) => {
      done();
      reject(
        new CrashcartError(reasons.CommandNotFound, `${program} could not be started: ${cause.message}.`, { cause }),
      );
    });
    child.once('exit', (code, signal) => {
      done();
      resolve(code ?? codeOfSignal(signal ?? 'SIGKILL'));
    });
  });
}
