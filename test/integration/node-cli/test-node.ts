import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeCgroups } from '../../cluster/cgroup.ts';
import { systemPath, until } from '../../cluster/command.ts';
import { type RunOptions, run } from '../../support/run.ts';
import { Terminal } from '../../support/terminal.ts';

export const crashcartProgram = join(import.meta.dirname, '../../../build/bin/crashcart');

type Outcome = Awaited<ReturnType<typeof run>>;

/** A machine of its own as far as container runtimes can tell: mounts, network, processes and /run. Ends with everything in it. */
export interface TestNode extends AsyncDisposable {
  /** On the machine's own disk, seen from both sides. */
  readonly directory: string;
  /** Where runtimes shall put their containers' cgroups. */
  readonly cgroup: string;
  /** A program inside. */
  run(program: string, args: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** The same, which must succeed; its standard output. */
  must(program: string, args: readonly string[], options?: RunOptions): Promise<string>;
  crashcart(args: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** A program inside, in a terminal of the test's. */
  terminal(program: string, args: readonly string[]): Terminal;
  /** A program that runs until the node ends; its output goes to a file. */
  daemon(program: string, args: readonly string[]): ChildProcess;
  /** What crashcart may leave here: mounts of the node, its records, cgroups, and loop devices. */
  traces(): Promise<string>;
}

const setUp = ['mount --make-rprivate /', 'mount -t tmpfs tmpfs /run', 'ip link set lo up', 'echo ready'];
/** Reaps what daemons leave behind, as the first process of a machine does. */
const firstProcess = 'while :; do sleep 1000 & wait $!; done';
/** Without pids of its own there is no namespace that ends its children with it: so it has none. */
const onlyProcess = 'exec sleep infinity';

export async function startNode(
  options: { readonly ownPids?: boolean; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<TestNode> {
  const { ownPids = true } = options;
  const directory = mkdtempSync(join(tmpdir(), 'crashcart-node-'));
  const cgroup = `crashcart-node-test-${process.pid}`;
  const pids = ownPids ? ['--pid', '--fork', '--kill-child', '--mount-proc'] : [];
  const holder = spawn(
    'unshare',
    ['--mount', '--net', ...pids, 'bash', '-c', [...setUp, ownPids ? firstProcess : onlyProcess].join(' && ')],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  await once(holder.stdout!, 'data');
  const inside = ownPids ? childOf(holder.pid!) : holder.pid!;
  const enter = ['--target', String(inside), '--mount', '--net', ...(ownPids ? ['--pid'] : []), '--'];
  // Looked at anew each time: what a runtime's configuration is called is known only once there is a directory for it.
  const env = (): NodeJS.ProcessEnv => ({ ...process.env, PATH: systemPath(), ...options.env });
  const node: Omit<TestNode, typeof Symbol.asyncDispose> = {
    directory,
    cgroup,
    run: (program, args, more) => run('nsenter', [...enter, program, ...args], { env: env(), ...more }),
    must: async (program, args, more) => {
      const { code, stdout, stderr } = await node.run(program, args, more);
      if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
      return stdout;
    },
    crashcart: (args, more) => node.run(crashcartProgram, args, more),
    terminal: (program, args) => new Terminal('nsenter', [...enter, program, ...args], { env: env() }),
    daemon: (program, args) => {
      const script = 'exec "$@" >>"$0" 2>&1';
      return spawn('nsenter', [...enter, 'sh', '-c', script, join(directory, 'log'), program, ...args], {
        stdio: 'ignore',
        env: env(),
      });
    },
    traces: () => node.must('sh', ['-c', look]),
  };
  return {
    ...node,
    [Symbol.asyncDispose]: async () => {
      const ended = once(holder, 'exit');
      process.kill(inside, 'SIGKILL');
      await ended;
      await until(`the cgroup ${cgroup} to go`, () => removeCgroups(cgroup) || undefined, { timeout: 20_000 });
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Without the times and the runtimes' own mounts: what stands in /run/crashcart and at /dev/crashcart, and what holds an image. */
const look = `
grep -E '/run/crashcart|/dev/crashcart|erofs|/loop[0-9]' /proc/self/mountinfo
find /run/crashcart -xdev -mindepth 2 -maxdepth 2 2>/dev/null
find /sys/fs/cgroup -maxdepth 3 -type d -name crashcart-node
grep -H crashcart-node- /sys/block/loop*/loop/backing_file 2>/dev/null
true
`;

function childOf(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  if (child === undefined) throw new Error(`process ${pid} has no child`);
  return Number(child);
}

/** What a container sees of us, from outside: its mounts and the names in its /dev. */
export function tracesIn(pid: number): string {
  return `${readFileSync(`/proc/${pid}/mountinfo`, 'utf8')}${readdirSync(`/proc/${pid}/root/dev`).sort().join(' ')}`;
}
