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
find /sys/fs/cgroup -type d -path "*/crashcart/*" 2>/dev/null | grep -F "/$NODE/" | sed 's|^|cgroup |'
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

/** Runs a shell script in the namespaces of a test node, as its root. */
export const onNode = (node: Node, script: string) =>
  run('nsenter', ['-t', String(node.pid), '-m', '-p', '-n', '-u', '-i', '--', '/bin/sh', '-c', script], {
    env: { ...process.env, NODE: node.name },
  });

export async function nodeLeftovers(node: Node): Promise<string[]> {
  const { code, stdout, stderr } = await onNode(node, look);
  if (code !== 0) throw new Error(`looking for leftovers on ${node.name}: ${stderr}`);
  return stdout.split('\n').filter((line) => line !== '');
}
