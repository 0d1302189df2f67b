import { type IPty, spawn } from 'node-pty';

export interface TerminalOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cols?: number;
  readonly rows?: number;
}

/** A person at a terminal: a program on a real PTY, what it wrote so far, and a wait for something to appear in it. */
export class Terminal {
  readonly exited: Promise<number>;
  readonly #pty: IPty;
  #seen = '';
  #consumed = 0;
  #ended = false;
  readonly #waiting = new Set<() => void>();

  constructor(file: string, args: readonly string[], options: TerminalOptions = {}) {
    const env = { ...process.env, TERM: 'xterm-256color', ...options.env };
    this.#pty = spawn(file, [...args], {
      cols: options.cols ?? 100,
      rows: options.rows ?? 30,
      name: 'xterm-256color',
      env,
    });
    this.#pty.onData((data) => {
      this.#seen += data;
      this.#wake();
    });
    this.exited = new Promise((resolve) => {
      this.#pty.onExit(({ exitCode, signal }) => {
        this.#ended = true;
        this.#wake();
        resolve(signal ? 128 + signal : exitCode);
      });
    });
  }

  get pid(): number {
    return this.#pty.pid;
  }

  /** Everything written so far, as it came, escapes included. */
  get transcript(): string {
    return this.#seen;
  }

  type(text: string): void {
    this.#pty.write(text);
  }

  /** A line as a person enters it. */
  enter(line: string): void {
    this.#pty.write(`${line}\r`);
  }

  resize(cols: number, rows: number): void {
    this.#pty.resize(cols, rows);
  }

  kill(signal = 'SIGKILL'): void {
    if (!this.#ended) this.#pty.kill(signal);
  }

  /** Waits for `pattern` in what was written since the last match, and consumes up to its end. */
  async expect(pattern: RegExp, timeoutMs = 15_000): Promise<RegExpExecArray> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const match = pattern.exec(this.#seen.slice(this.#consumed));
      if (match) {
        this.#consumed += match.index + match[0].length;
        return match;
      }
      if (this.#ended) throw this.#failure(`ended before ${pattern} appeared`);
      const left = deadline - Date.now();
      if (left <= 0) throw this.#failure(`${pattern} did not appear within ${timeoutMs} ms`);
      await this.#change(left);
    }
  }

  async exit(timeoutMs = 15_000): Promise<number> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#failure(`did not end within ${timeoutMs} ms`)), timeoutMs);
    });
    try {
      return await Promise.race([this.exited, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    this.kill();
  }

  #failure(what: string): Error {
    return new Error(`the program in the terminal ${what}; it wrote:\n${this.#seen.slice(-4_000)}`);
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  #change(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, withinMs);
      const waiting = this.#waiting;
      function done(): void {
        clearTimeout(timer);
        waiting.delete(done);
        resolve();
      }
      waiting.add(done);
    });
  }
}
