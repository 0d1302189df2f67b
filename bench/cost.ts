import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

export interface Cost {
  seconds: number;
  /** Of processors: what the work takes whatever else the machine does. */
  processorSeconds: number;
  /** Of the process and all that it started, at the same moment; what they share is counted once. */
  peakMegabytes: number;
}

const everyMs = 50;
/** The kernel counts processor time for others in hundredths of a second. */
const ticksPerSecond = 100;

/** Runs a command and says what it cost, by what the kernel tells of its processes twenty times a second. Throws when it fails. */
export async function costOf(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Cost> {
  const start = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], env });
  let [peak, ticks] = [0, 0];
  const watch = setInterval(() => {
    const processes = treeOf(child.pid ?? 0);
    peak = Math.max(
      peak,
      processes.map(kilobytesOf).reduce((sum, each) => sum + each, 0),
    );
    ticks = Math.max(
      ticks,
      processes.map(ticksOf).reduce((sum, each) => sum + each, 0),
    );
  }, everyMs);
  const code = await new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  ).finally(() => clearInterval(watch));
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${code}`);
  const seconds = (performance.now() - start) / 1000;
  return { seconds, processorSeconds: ticks / ticksPerSecond, peakMegabytes: (peak * 1024) / 1e6 };
}

function treeOf(pid: number): number[] {
  const children = namesIn(`/proc/${pid}/task`).flatMap((thread) => textOf(`/proc/${pid}/task/${thread}/children`));
  const pids = children.flatMap((list) => list.split(' ').filter((each) => each !== '')).map(Number);
  return [pid, ...pids.flatMap(treeOf)];
}

const kilobytesOf = (pid: number): number =>
  Number(/^Pss: +(\d+)/m.exec(textOf(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);

/** Its own, and of the children that it waited for (proc(5): utime, stime, cutime, cstime). */
function ticksOf(pid: number): number {
  const stat = textOf(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, each) => sum + Number(each), 0);
}

// A process may be gone by the time that it is looked at.
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
