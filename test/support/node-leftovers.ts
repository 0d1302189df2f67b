import { readFile } from 'node:fs/promises';
import { run } from './run.ts';

/**
 * What a session might leave on a node, one line each: looked for from outside, in every process' mount table, every cgroup
 * hierarchy, every loop device and every process of the node. The agent's own pod is no leftover.
 */
const look = `
for p in /proc/[0-9]*; do
  [ "$(cat $p/comm 2>/dev/null)" = crashcart-enter ] && echo "process $p: $(tr '\\0' ' ' < $p/cmdline)"
  exe=$(readlink $p/exe 2>/dev/null) || true
  case $exe in */dev/crashcart/*) echo "process $p: $exe" ;; esac
  grep -E ' (/[^ ]*)?/dev/crashcart[ /]' $p/mountinfo 2>/dev/null | sed "s|^|mount of $p: |"
done
find /sys/fs/cgroup -type d -path "*/crashcart/*" 2>/dev/null | grep -F "/$CGROUP/" | sed 's|^|cgroup |'
for l in /sys/block/loop*/loop/backing_file; do
  [ -e "$l" ] && grep -H -E 'toolbox|crashcart|\\.erofs' "$l" | sed 's|^|loop |'
done
for d in /run/crashcart /run/crashcart-agent /var/lib/crashcart; do
  [ -d "$d" ] && find "$d" -mindepth 1 -path '*session*' | sed 's|^|file |'
done
true
`;

export interface Node {
  readonly name: string;
  readonly pid: number;
}

/** `cc-0123abcd/crashcart-test-1`: a node sees every cgroup of the machine, those of other clusters' nodes as well. */
async function cgroupOf({ name, pid }: Node): Promise<string> {
  const [, path] =
    new RegExp(`/(cc-[0-9a-f]{8}/${name})(?:/|$)`, 'm').exec(await readFile(`/proc/${pid}/cgroup`, 'utf8')) ?? [];
  if (path === undefined) throw new Error(`process ${pid} is not in a cgroup of ${name}`);
  return path;
}

/** Runs a shell script in the namespaces of a test node, as its root; `$CGROUP` is the node's own below every hierarchy. */
export async function onNode(node: Node, script: string): ReturnType<typeof run> {
  const env = { ...process.env, CGROUP: await cgroupOf(node) };
  const into = ['-t', String(node.pid), '-m', '-p', '-n', '-u', '-i', '--'];
  return await run('nsenter', [...into, '/bin/sh', '-c', script], { env });
}

export async function nodeLeftovers(node: Node): Promise<string[]> {
  const { code, stdout, stderr } = await onNode(node, look);
  if (code !== 0) throw new Error(`looking for leftovers on ${node.name}: ${stderr}`);
  return stdout.split('\n').filter((line) => line !== '');
}
