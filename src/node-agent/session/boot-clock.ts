import { readFileSync } from 'node:fs';

/** CLOCK_BOOTTIME in nanoseconds, which every process of the node shares and which goes on while the machine sleeps. */
export function bootNow(): bigint {
  // Hundredths of a second are fine for leases; Node's own clocks stop in a suspended machine.
  const [seconds = '0'] = readFileSync('/proc/uptime', 'utf8').split(' ');
  return BigInt(Math.round(Number(seconds) * 1000)) * 1_000_000n;
}
