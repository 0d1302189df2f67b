import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Terminal } from '../test/support/terminal.ts';

export interface Contender {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly prompt: RegExp;
  /** After this line the first prompt may have been lost already: then Enter is pressed every 50 ms, as a very eager person would. */
  readonly pressEnterAfter?: RegExp;
}

const now = (): number => performance.now();

/** Milliseconds from the start of the program to its first prompt. */
export async function timeToPrompt({ file, args, env, prompt, pressEnterAfter }: Contender): Promise<number> {
  const start = now();
  using terminal = new Terminal(file, args, { env });
  let eager: NodeJS.Timeout | undefined;
  if (pressEnterAfter) {
    await terminal.expect(pressEnterAfter, 60_000);
    eager = setInterval(() => terminal.type('\r'), 50);
  }
  try {
    await terminal.expect(prompt, 60_000);
  } finally {
    clearInterval(eager);
  }
  const took = now() - start;
  terminal.enter('exit');
  await terminal.exit(30_000);
  return took;
}

/** Milliseconds from a keystroke to its echo, `count` times in one shell. */
export async function echoTimes({ file, args, env, prompt }: Contender, count: number): Promise<number[]> {
  using terminal = new Terminal(file, args, { env });
  await terminal.expect(prompt, 60_000);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    // A rare letter, so that nothing but its echo can match.
    const start = now();
    terminal.type('Q');
    await terminal.expect(/Q/);
    times.push(now() - start);
    await sleep(5);
  }
  terminal.type('\u0015');
  terminal.enter('exit');
  await terminal.exit(30_000);
  return times;
}

export interface Stream {
  /** MB/s of what arrived, counted from its first byte, so that starting is not part of it. */
  readonly rate: number;
  /** Bytes that never arrived although the command, and the client, ended with 0. */
  readonly missing: number;
}

/** `bytes` of standard output through a pipe. Throws when the client failed. */
export async function throughput({ file, args, env }: Contender, bytes: number): Promise<Stream> {
  const child = spawn(file, [...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let got = 0;
  let start = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    if (got === 0) start = now();
    got += chunk.length;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${file} ${args.join(' ')}: exit ${code}, ${got} of ${bytes} bytes`);
  return { rate: got / 1_000 / (now() - start), missing: bytes - got };
}
