/** One JSON line a message, to standard error by default. Never a token, never a byte of a terminal. */
export type Level = 'debug' | 'info' | 'warn' | 'error';
export type Fields = Readonly<Record<string, string | number | boolean | null | undefined | readonly string[]>>;

export interface Logger {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** A logger that adds `fields` to every line: `log.child({ session, pod })`. */
  child(fields: Fields): Logger;
}

const rank: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** A line longer than this is cut: a hostile name must not fill a node's log. */
const maxFieldLength = 2048;

export interface LogOptions {
  readonly level?: Level;
  readonly write?: (line: string) => void;
  readonly now?: () => Date;
}

export function createLogger(base: Fields = {}, options: LogOptions = {}): Logger {
  const { level = 'info', write = (line) => process.stderr.write(line), now = () => new Date() } = options;
  const emit = (at: Level, message: string, fields?: Fields): void => {
    if (rank[at] < rank[level]) return;
    const entry = { time: now().toISOString(), level: at, message, ...base, ...fields };
    write(
      `${JSON.stringify(entry, (_key, value) => (typeof value === 'string' ? value.slice(0, maxFieldLength) : value))}\n`,
    );
  };
  return {
    debug: (message, fields) => emit('debug', message, fields),
    info: (message, fields) => emit('info', message, fields),
    warn: (message, fields) => emit('warn', message, fields),
    error: (message, fields) => emit('error', message, fields),
    child: (fields) => createLogger({ ...base, ...fields }, options),
  };
}

/** For tests and for library code that was given no logger. */
export const silentLogger: Logger = createLogger({}, { write: () => {} });

export const isLevel = (value: string): value is Level => Object.hasOwn(rank, value);
