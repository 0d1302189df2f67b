import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cluster, crashcart, crashcartTerminal, getJson } from '../support/environment.ts';
import { onNode } from '../support/node-leftovers.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';
import { upgrade } from './upgrade.ts';

nothingLeftAfterEach();

/** As the kernels of the nodes have it, whatever the pods' objects say: 0 is no filter, 2 is one. */
async function filtersOfAgents(): Promise<readonly string[]> {
  const isAgent = `tr '\\0' ' ' < $d/cmdline | grep -q '^/usr/bin/node .*/app/agent.cjs'`;
  const script = `for d in /proc/[0-9]*; do ${isAgent} && sed -n 's/^Seccomp:\\t//p' $d/status; done; true`;
  const answers = await Promise.all(cluster().nodes.map((node) => onNode(node, script)));
  return answers.map(({ stdout }) => stdout.trim());
}

/** How many filters the first process of a session is under. */
const filtersOf = async (profile: string): Promise<number> => {
  const command = ['sed', '-n', 's/^Seccomp_filters:\\t//p', '/proc/self/status'];
  const { stdout, stderr, code } = await crashcart(['pod/box', '-n', 'tools', '--profile', profile, '--', ...command]);
  expect({ stderr, code }).toMatchObject({ code: 0 });
  return Number(stdout);
};

describe('agents under the filter that the nodes’ runtime gives them', () => {
  let without: number;
  beforeAll(async () => {
    expect(await filtersOfAgents()).toEqual(cluster().nodes.map(() => '0'));
    without = await filtersOf('general');
    await upgrade('agent.seccompProfile.type=RuntimeDefault');
  }, 240_000);
  afterAll(() => upgrade('agent.seccompProfile.type=Unconfined'), 240_000);

  test('are ready, with that filter and without being privileged', async () => {
    expect(await filtersOfAgents()).toEqual(cluster().nodes.map(() => '2'));
    const pods = await getJson<{ items: { spec: { containers: { securityContext: object }[] } }[] }>([
      ...['get', 'pods', '-n', 'crashcart-system', '-l', 'app.kubernetes.io/component=agent'],
    ]);
    expect(pods.items.map(({ spec }) => spec.containers[0]?.securityContext)).toEqual(
      cluster().nodes.map(() =>
        expect.objectContaining({ seccompProfile: { type: 'RuntimeDefault' }, readOnlyRootFilesystem: true }),
      ),
    );
  });

  test('give a shell in a distroless pod that may have nothing, with a terminal and an exit code', async () => {
    using terminal = crashcartTerminal(['pod/cart-0', '-n', 'shop']);
    await terminal.expect(/cart-0/);
    terminal.enter('echo "who=$(id -u) tty=$(tty)"');
    await terminal.expect(/who=65532 tty=\/dev\/pts\/0/);
    terminal.enter('exit 7');
    expect(await terminal.exit()).toBe(7);
  });

  test.each([
    ['general', 'strace -o /dev/null true && echo traced', 'traced'],
    [
      'netadmin',
      'ip link add name crashcart0 type veth peer name crashcart1 && ip link del crashcart0 && echo linked',
      'linked',
    ],
    ['sysadmin', 'mount -t tmpfs none /tmp && unshare --net true && echo mounted', 'mounted'],
  ])('the profile %s still can what it is for', async (profile, script, said) => {
    const command = ['sh', '-c', script];
    const outcome = await crashcart(['pod/box', '-n', 'tools', '--profile', profile, '--', ...command]);
    expect(outcome).toMatchObject({ stdout: `${said}\n`, code: 0 });
  });

  test('the toolbox goes into a container for all of it, and out again', async () => {
    const command = ['ls', '-d', '/dev/crashcart/bin'];
    const outcome = await crashcart(['pod/box', '-n', 'tools', '--visibility', 'Container', '--', ...command]);
    expect(outcome).toMatchObject({ stdout: '/dev/crashcart/bin\n', code: 0 });
  });

  test('sessions are under it beside their own', async () => {
    expect(await filtersOf('general')).toBe(without + 1);
    expect(await filtersOf('sysadmin')).toBeGreaterThan(1);
  });
});
