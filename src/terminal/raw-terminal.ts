import { ModeTracker } from './terminal-modes.ts';

/** As much of `process` as this needs. */
type Host = Pick<NodeJS.Process, 'stdin' | 'stdout' | 'pid' | 'on' | 'off' | 'kill'>;

/** Columns and rows. */
export interface TerminalSize {
  readonly width: number;
  readonly height: number;
}

/**
 * The user's terminal while it belongs to the remote shell: every key goes through, Ctrl-C and Ctrl-Z too. Given back on
 * dispose, when the process exits for whatever reason, and while it is stopped from outside.
 */
export class RawTerminal implements Disposable {
  readonly #host: Host;
  readonly #onSize: (size: TerminalSize) => void;
  readonly #modes = new ModeTracker();
  #raw = false;

  constructor(host: Host, onSize: (size: TerminalSize) => void) {
    this.#host = host;
    this.#onSize = onSize;
    host.on('exit', this.#restore);
    host.on('SIGTSTP', this.#suspend);
    host.on('SIGCONT', this.#enter);
    // Not SIGWINCH: our listener may run before the one that makes Node read the size again.
    host.stdout.on('resize', this.#tellSize);
    unblock(host.stdout);
    this.#enter();
  }

  /** To be shown everything that is written to the terminal, to know what has to be switched back. */
  saw(output: Buffer): void {
    this.#modes.saw(output);
  }

  [Symbol.dispose](): void {
    this.#host.off('exit', this.#restore);
    this.#host.off('SIGTSTP', this.#suspend);
    this.#host.off('SIGCONT', this.#enter);
    this.#host.stdout.off('resize', this.#tellSize);
    this.#restore();
  }

  readonly #enter = (): void => {
    this.#host.stdin.setRawMode(true);
    this.#raw = true;
    this.#tellSize();
  };

  readonly #restore = (): void => {
    if (!this.#raw) return;
    this.#raw = false;
    const undo = this.#modes.undo();
    if (undo !== '') this.#host.stdout.write(undo);
    try {
      this.#host.stdin.setRawMode(false);
    } catch {
      // The terminal itself is gone (its window was closed): nothing is left to restore.
    }
  };

  /** The default action of SIGTSTP, which a handler replaces, after the terminal was given back. */
  readonly #suspend = (): void => {
    this.#restore();
    this.#host.kill(this.#host.pid, 'SIGSTOP');
  };

  /** The size as it is now. */
  tellSize(): void {
    this.#tellSize();
  }

  /** Lets a full-screen program draw itself anew: it does when its window changes. */
  redraw(): void {
    const [width, height] = this.#host.stdout.getWindowSize();
    if (!this.#modes.fullScreen || width < 1 || height < 2) return;
    this.#onSize({ width, height: height - 1 });
    this.#onSize({ width, height });
  }

  readonly #tellSize = (): void => {
    const [width, height] = this.#host.stdout.getWindowSize();
    if (width > 0 && height > 0) this.#onSize({ width, height });
  };
}

/**
 * Node writes to a terminal blocking, so that a terminal which is held (a scrolled-back tmux pane) would stop our pings and
 * with them the connection. The handle is Node's own affair: where it is another, blocking writes stay.
 */
function unblock(stdout: NodeJS.WriteStream): void {
  const { _handle: handle } = stdout as { _handle?: { setBlocking?: (blocking: boolean) => void } };
  handle?.setBlocking?.(false);
}
