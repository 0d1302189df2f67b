import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface GatewayOptions {
  readonly host: string;
  readonly port: number;
  readonly tunnelPort: number;
  readonly certificate: { readonly key: string; readonly cert: string };
  readonly clientCa: string;
}

export interface AgentsOptions {
  /** Numbers of the nodes whose agents this process is. */
  readonly from: number;
  readonly to: number;
  /** That each node has from the start. */
  readonly sessions: number;
  readonly gateways: readonly string[];
  readonly tunnelPort: number;
  readonly directory: string;
}

/** Of clients of the gateway at 127.0.0.1. */
export interface ClientsOptions {
  readonly port: number;
  readonly ca: string;
  readonly client: { readonly key: string; readonly cert: string };
  readonly sessions: readonly string[];
}

export interface Usage {
  readonly rssBytes: number;
  /** User and system, since the start of the process. */
  readonly cpuMs: number;
}

/** The child's side: answers what it is asked, and always how much it uses. */
export function answer(reply: (question: string) => unknown): void {
  process.on('message', (question: string) => {
    const { user, system } = process.cpuUsage();
    const usage: Usage = { rssBytes: process.memoryUsage.rss(), cpuMs: (user + system) / 1_000 };
    const wanted = question === 'usage' ? usage : reply(question);
    void Promise.resolve(wanted).then((value) => process.send?.(value ?? null));
  });
  // The parent is gone: so are we, and nothing is left of a bench that was interrupted.
  process.on('disconnect', () => process.exit(0));
  process.send?.('ready');
}

/** A process of the simulation; `ask` one thing at a time. */
export class Part {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(file: string, options: object): Promise<Part> {
    const child = fork(join(import.meta.dirname, file), [JSON.stringify(options)], {
      execArgv: ['--expose-gc'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const part = new Part(child);
    const [first] = await Promise.race([once(child, 'message'), once(child, 'exit')]);
    if (first !== 'ready') throw new Error(`${file} ended with ${first} before it was ready`);
    return part;
  }

  async ask<T>(question: string): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const gone = (): void => reject(new Error(`a part of the simulation ended before it answered "${question}"`));
    this.#child.once('message', resolve).once('exit', gone);
    this.#child.send(question);
    return promise.finally(() => this.#child.off('message', resolve).off('exit', gone));
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}
