import { execFile, type SpawnOptions, spawn } from 'node:child_process';
import { CrashcartError, reasons } from '../../src/base/errors.ts';

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
  readonly signal?: AbortSignal;
  /** Milliseconds; 60 000 by default. */
  readonly timeout?: number;
}

/** Tools of the system live in sbin, which is not on everybody's PATH. */
export const systemPath = (): string => `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`;

/** Runs a program to its end; its standard output. Throws Internal with the end of its standard error. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { env, cwd, input, signal, timeout = 60_000 } = options;
  return new Promise((resolve, reject) => {
    const settings = { env: { ...process.env, PATH: systemPath(), ...env }, cwd, signal, timeout, maxBuffer: 64 << 20 };
    const child = execFile(program, args, settings, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const said = stderr.trim().slice(-2000) || error.message;
      reject(
        new CrashcartError(reasons.Internal, `${program} ${args.slice(0, 4).join(' ')} failed: ${said}`, {
          cause: error,
        }),
      );
    });
    child.stdin?.on('error', () => {}); // the program may end before it has read everything: its exit status tells
    child.stdin?.end(input ?? '');
  });
}

/** Runs a program on our own terminal until it ends; its exit code, 128 + signal if one ended it. */
export function runInForeground(program: string, args: readonly string[], options: SpawnOptions = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit', ...options });
    const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
    // Ctrl-C reaches the program from the terminal already; a plain `kill` of ours must be handed on.
    process.on('SIGTERM', forward);
    const done = (): void => void process.off('SIGTERM', forward);
    child.once('error', (error) => {
      done();
      reject(
        new CrashcartError(reasons.CommandNotFound, `Cannot start ${program}: ${error.message}`, { cause: error }),
      );
    });
    child.once('exit', (code, signal) => {
      done();
      resolve(code ?? 128 + (signal ? (signalNumbers[signal] ?? 0) : 0));
    });
  });
}

const signalNumbers: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGTERM: 15 };

/** Asks again every `every` milliseconds until the answer is there. Throws Timeout with `what` after `timeout`. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | Promise<T | undefined>,
  options: { readonly timeout: number; readonly every?: number; readonly signal?: AbortSignal | undefined },
): Promise<T> {
  const end = Date.now() + options.timeout;
  for (;;) {
    options.signal?.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) {
      throw new CrashcartError(reasons.Timeout, `${what}: not within ${options.timeout / 1000} s.`);
    }
    await new Promise((resolve) => setTimeout(resolve, options.every ?? 25));
  }
}

/** Waits for all of them even when one fails, so that nothing goes on behind who cleans up; throws the first failure. */
export async function together(tasks: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(tasks);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
