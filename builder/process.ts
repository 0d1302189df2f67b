import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { CrashcartError, reasons } from '../src/base/errors.ts';

/** What a tool may say before it is ended: a build that prints more is in a loop. */
const mostOutputBytes = 256 * 1024 * 1024;
const quotedBytes = 2000;

export interface RunOptions {
  cwd?: string;
  env?: Readonly<Record<string, string | undefined>>;
  input?: Uint8Array;
  /** A file that becomes its standard input. */
  inputFile?: string;
  timeoutMs?: number;
}

/**
 * Runs a tool without a shell and gives its stdout. Throws Unavailable when it cannot be started, Internal when it ends
 * with anything but 0, with the end of what it said on stderr.
 */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Buffer> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    timeout: options.timeoutMs ?? 300_000,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const end = (): void => void child.kill();
  process.once('exit', end);
  const output: Buffer[] = [];
  let outputBytes = 0;
  let complaint = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output.push(chunk);
    outputBytes += chunk.length;
    if (outputBytes > mostOutputBytes) child.kill();
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    complaint = (complaint + chunk).slice(-quotedBytes);
  });
  // A tool that ends before it has read everything says why by its exit status.
  child.stdin.on('error', () => {});
  if (options.inputFile !== undefined)
    createReadStream(options.inputFile)
      .on('error', () => child.kill())
      .pipe(child.stdin);
  else child.stdin.end(options.input);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new CrashcartError(reasons.Unavailable, `${command} cannot be started; is it installed?`, { cause })),
    );
    child.once('close', (...ended) => resolve(ended));
  }).finally(() => process.off('exit', end));
  if (code === 0) return Buffer.concat(output);
  const how = signal ? `was ended by ${signal}` : `ended with ${code}`;
  throw new CrashcartError(
    reasons.Internal,
    `${[command, ...args].join(' ')} ${how}: ${complaint.trim() || 'no word'}`,
  );
}
