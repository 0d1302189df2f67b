import { inject } from 'vitest';
import { run } from './run.ts';
import { Terminal, type TerminalOptions } from './terminal.ts';

/** What test/e2e/setup.ts made: plain data, because it crosses from Vitest's main process to its workers. */
export interface ClusterFacts {
  readonly name: string;
  readonly kubeconfig: string;
  readonly auditLog: string;
  readonly nodes: ReadonlyArray<{ readonly name: string; readonly pid: number }>;
  readonly tools: { readonly kubectl: string; readonly helm: string; readonly crashcart: string };
}

declare module 'vitest' {
  interface ProvidedContext {
    readonly cluster: ClusterFacts;
  }
}

export const cluster = (): ClusterFacts => inject('cluster');

const environment = (): NodeJS.ProcessEnv => ({ ...process.env, KUBECONFIG: cluster().kubeconfig });

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CallOptions {
  readonly input?: string | Uint8Array;
  /** Impersonated user. */
  readonly as?: string;
  readonly timeoutMs?: number;
}

const impersonation = (options: CallOptions): string[] => (options.as === undefined ? [] : ['--as', options.as]);

/** kubectl, as the cluster's administrator unless said otherwise. Never throws: the caller looks at `code`. */
export const kubectl = (args: readonly string[], options: CallOptions = {}): Promise<Outcome> =>
  run(cluster().tools.kubectl, [...args, ...impersonation(options)], { ...options, env: environment() });

/** The plugin without a terminal. */
export const crashcart = (args: readonly string[], options: CallOptions = {}): Promise<Outcome> =>
  run(cluster().tools.crashcart, [...impersonation(options), ...args], { ...options, env: environment() });

/** The plugin as a person uses it: in a terminal. */
export const crashcartTerminal = (args: readonly string[], options: TerminalOptions = {}): Terminal =>
  new Terminal(cluster().tools.crashcart, args, { ...options, env: { ...environment(), ...options.env } });

/** kubectl's answer as an object; throws with its error output when it failed. */
export async function getJson<T = Record<string, unknown>>(args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await kubectl([...args, '-o', 'json']);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as T;
}
