import { expect, test } from 'vitest';
import { capabilityNames } from '../../src/linux/capabilities.ts';
import { parseProcessStatus } from '../../src/linux/proc.ts';
import { cluster, crashcart, getJson } from '../support/environment.ts';
import { type Node, onNode } from '../support/node-leftovers.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

nothingLeftAfterEach();

interface DaemonSet {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly { readonly securityContext: { readonly capabilities: { add: string[] } } }[];
      };
    };
  };
}

/** As the kernel of the node has it, whatever the pod's object says. */
async function statusOfAgent(node: Node): Promise<string> {
  const isAgent = `tr '\\0' ' ' < $d/cmdline | grep -q '^/usr/bin/node /app/agent.cjs'`;
  const { stdout } = await onNode(node, `for d in /proc/[0-9]*; do ${isAgent} && cat $d/status; done; true`);
  expect(stdout.match(/^Name:/gm)).toHaveLength(1);
  return stdout;
}

test('the agent has the listed capabilities and no others', async () => {
  const agent = await getJson<DaemonSet>(['get', 'daemonset', 'crashcart-agent', '-n', 'crashcart-system']);
  const listed = agent.spec.template.spec.containers[0]!.securityContext.capabilities.add;
  for (const node of cluster().nodes) {
    const status = await statusOfAgent(node);
    const { capabilities } = parseProcessStatus(status);
    expect([...capabilityNames(capabilities.effective)].sort()).toEqual(listed.map((name) => `CAP_${name}`).sort());
  }
});

test('with these capabilities sysadmin may mount, trace and enter namespaces', async () => {
  const script = [
    'mount -t tmpfs none /tmp && grep -c " /tmp tmpfs" /proc/mounts',
    'unshare --net true && echo unshared',
    'strace -o /dev/null true && echo traced',
  ].join('; ');
  const { stdout, stderr, code } = await crashcart([
    'pod/box',
    '-n',
    'tools',
    '--profile',
    'sysadmin',
    '--',
    'sh',
    '-c',
    script,
  ]);
  expect({ stdout, stderr, code }).toMatchObject({ stdout: '1\nunshared\ntraced\n', code: 0 });
});
