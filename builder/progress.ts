import type { WriteStream } from 'node:tty';
import type { Tell } from './step.ts';

export interface Progress {
  line: Tell;
  end: () => void;
}

/** On a terminal a line that ends with ... is written over by the next; elsewhere, in a log, every line stays. */
export function progress(stream: WriteStream): Progress {
  let passing = false;
  const line = (text: string): void => {
    if (!stream.isTTY) return void stream.write(`${text}\n`);
    const isPassing = text.endsWith('...');
    stream.write(
      `${passing ? '\r\u001b[K' : ''}${text.slice(0, isPassing ? Math.max(20, stream.columns - 1) : undefined)}${isPassing ? '' : '\n'}`,
    );
    passing = isPassing;
  };
  return {
    line,
    end: () => {
      if (passing) stream.write('\r\u001b[K');
      passing = false;
    },
  };
}
