import { setTimeout as sleep } from 'node:timers/promises';
import type { DebugSession } from '../api/debug-session.ts';
import { printable } from '../base/text.ts';
import type { Host } from './host.ts';

/** A wait that is shorter than this is not noticed: a line that flashes up would be. */
const quietMs = 400;
const refreshMs = 1_000;

/**
 * One dim line on a terminal that says what is being waited for, kept up to date by `look`, gone without a trace on dispose.
 * Elsewhere than on a terminal: nothing.
 */
export class Progress implements Disposable {
  readonly #host: Host;
  readonly #controller = new AbortController();
  #shown = false;

  constructor(host: Host, look: () => Promise<string>) {
    this.#host = host;
    if (host.stderr.isTTY && host.env['TERM'] !== 'dumb') void this.#run(look);
  }

  [Symbol.dispose](): void {
    this.#controller.abort();
    if (this.#shown) this.#host.stderr.write('\r\x1b[2K');
    this.#shown = false;
  }

  async #run(look: () => Promise<string>): Promise<void> {
    const { signal } = this.#controller;
    try {
      await sleep(quietMs, undefined, { signal });
      while (!signal.aborted) {
        const text = await look().catch(() => '');
        if (!signal.aborted && text !== '') this.#show(text);
        await sleep(refreshMs, undefined, { signal });
      }
    } catch {
      // Disposed while it slept: what it waited for is there.
    }
  }

  #show(text: string): void {
    const line = printable(text).slice(0, Math.max(10, (this.#host.stderr.columns || 80) - 1));
    const { NO_COLOR: plain } = this.#host.env;
    this.#host.stderr.write(plain ? `\r\x1b[2K${line}` : `\r\x1b[2K\x1b[2m${line}\x1b[22m`);
    this.#shown = true;
  }
}

/** Where a session stands that one cannot attach to yet. */
export function progressOf({ metadata, spec, status }: DebugSession): string {
  const what = `crashcart: ${metadata.name}`;
  const latest = status?.conditions?.find(({ type, status: truth }) => type === 'Ready' && truth !== 'True');
  const said = latest?.message ? `: ${latest.message}` : '';
  if (!status?.phase || status.phase === 'Pending') return `${what} waits for pod ${spec.target.pod.name}${said}`;
  if (status.phase === 'Preparing') return `${what} is prepared on node ${status.nodeName ?? '?'}${said}`;
  return `${what} is ${status.phase.toLowerCase()}, connecting`;
}
