import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Kernel } from '../linux/kernel.ts';
import { giveProgramBack, trimHeap } from '../linux/resident-memory.ts';

/** By then the tunnels are up and the first full lists are told. */
const settleAfterMs = 10_000;

/**
 * Once, when the start is over: what only the start needed goes back to the node. An agent that waits makes so little garbage that V8 would not collect
 * for hours. It takes some 20 ms, and whoever comes next pays less than a millisecond for the pages that it needs again (docs/benchmarks.md).
 */
export function settleLater(kernel: Kernel, log: Logger): () => void {
  const timer = setTimeout(() => {
    try {
      collectGarbage();
      trimHeap();
      giveProgramBack(kernel);
    } catch (caught) {
      log.warn('the memory that only the start needed is kept', { error: describe(caught) });
    }
  }, settleAfterMs);
  return () => clearTimeout(timer);
}

/** V8 gives its collector to programs only by a flag, and only to contexts that are made after it. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: Readonly<Record<string, string>>) => void;
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
