import { codeOfSignal, type Host } from './host.ts';

const watched = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
export type Ending = (typeof watched)[number];

/**
 * The first signal asks for an orderly end, the second ends the process at once. SIGQUIT is one of them because its default
 * action would leave the terminal raw.
 */
export class SignalWatch implements Disposable {
  readonly #host: Host;
  readonly #controller = new AbortController();

  constructor(host: Host) {
    this.#host = host;
    for (const signal of watched) host.on(signal, this.#onSignal);
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The first signal, once it has come. */
  get received(): Ending | undefined {
    return this.signal.aborted ? (this.signal.reason as Ending) : undefined;
  }

  [Symbol.dispose](): void {
    for (const signal of watched) this.#host.off(signal, this.#onSignal);
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    if (this.signal.aborted) this.#host.exit(codeOfSignal(signal));
    this.#controller.abort(signal);
  };
}
