import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import type { ApiDouble } from './api-double.ts';

/** The plugin as a program: what to execute, and its first argument. */
export const plugin = [process.execPath, join(import.meta.dirname, '../../src/kubectl/main.ts')] as const;

export interface Finished {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Starts it without a terminal, its kubeconfig that of the double. */
export function startPlugin(
  api: ApiDouble,
  args: readonly string[],
  stdin: 'pipe' | 'ignore' = 'ignore',
): { readonly child: ChildProcess; readonly exited: Promise<number | null> } {
  const [node, main] = plugin;
  const env = { ...process.env, KUBECONFIG: api.kubeconfig };
  const child = spawn(node, [main, ...args], { env, stdio: [stdin, 'pipe', 'pipe'] });
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, exited };
}

/** Runs it to its end, `input` as its standard input. */
export async function runPlugin(api: ApiDouble, args: readonly string[], input?: Buffer): Promise<Finished> {
  const { child, exited } = startPlugin(api, args, input ? 'pipe' : 'ignore');
  child.stdin?.end(input);
  const [stdout, stderr, code] = await Promise.all([buffer(child.stdout!), text(child.stderr!), exited]);
  return { code, stdout, stderr };
}
