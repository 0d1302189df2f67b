import { setTimeout as sleep } from 'node:timers/promises';

/** Tries until `attempt` no longer throws, and gives what it returned; after `timeoutMs` its last error. */
export async function eventually<T>(attempt: () => T | Promise<T>, timeoutMs = 15_000, everyMs = 100): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() >= deadline) throw error;
    }
    await sleep(everyMs);
  }
}
