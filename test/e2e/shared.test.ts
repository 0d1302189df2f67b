import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { open } from '../cluster/cluster.ts';
import { must } from '../support/dry-run.ts';
import { cluster, crashcart, crashcartTerminal, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import type { Terminal } from '../support/terminal.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

// Several people in one session, each in a terminal of their own: alice has started it, bob may attach to it, carol may only read along.
const roles = {
  alice: ['crashcart-user', 'shared-exec'],
  bob: ['crashcart-admin', 'shared-exec'],
  carol: ['crashcart-observer'],
};

beforeAll(async () => {
  await must('create', 'clusterrole', 'shared-exec', '--verb=create', '--resource=pods/exec');
  for (const [user, names] of Object.entries(roles)) {
    for (const role of names) {
      await must(
        'create',
        'rolebinding',
        `shared-${user}-${role}`,
        '-n',
        'tools',
        `--clusterrole=${role}`,
        `--user=${user}`,
      );
    }
  }
});
afterAll(async () => {
  for (const [user, names] of Object.entries(roles)) {
    await kubectl(['delete', 'rolebinding', '-n', 'tools', ...names.map((role) => `shared-${user}-${role}`)]);
  }
  await kubectl(['delete', 'clusterrole', 'shared-exec']);
});
nothingLeftAfterEach();

const as = (user: string, args: readonly string[], size: object = {}): Terminal =>
  crashcartTerminal([...args, '-n', 'tools', '--as', user], size);
const attachedTo = async (name: string) =>
  (await getJson<DebugSession>(['get', 'dbg', name, '-n', 'tools'])).status?.attached?.map(({ user, mode }) => [
    user,
    mode,
  ]);

/** Its start is written down a moment after its prompt is there. */
const sessionOf = (user: string): Promise<string> =>
  eventually(async () => {
    const { items } = await getJson<{ items: DebugSession[] }>(['get', 'dbg', '-n', 'tools']);
    const found = items.find(({ spec, status }) => spec.requestedBy?.username === user && status?.phase === 'Running');
    expect(found).toBeDefined();
    return found!.metadata.name;
  });

test('one types and the others watch; whoever comes takes over, and gives back by leaving', async () => {
  using alice = as('alice', ['pod/box'], { cols: 80, rows: 24 });
  await eventually(async () => {
    alice.enter('echo "size $(stty size)"');
    await alice.expect(/size 24 80/, 2_000);
  }, 20_000);
  const name = await sessionOf('alice');

  using carol = as('carol', ['attach', name, '--watch'], { cols: 132, rows: 43 });
  await carol.expect(/also attached: alice \(typing\)/);
  carol.enter('echo "carol $((40+2))"');
  using bob = as('bob', ['attach', name], { cols: 100, rows: 40 });
  await bob.expect(/you took over from alice; also attached: carol/);
  await alice.expect(
    /bob took over from you: this terminal only watches now; to type again: kubectl crashcart attach \S+ -n tools/,
  );

  alice.enter('echo "alice $((40+2))"');
  bob.enter('echo "bob $((40+2)) $(stty size)"');
  for (const terminal of [alice, bob, carol]) await terminal.expect(/bob 42 40 100/);
  for (const terminal of [alice, bob, carol]) expect(terminal.transcript).not.toMatch(/(carol|alice) 42/);

  await eventually(
    async () =>
      expect(await attachedTo(name)).toEqual([
        ['bob', 'Writer'],
        ['alice', 'Observer'],
        ['carol', 'Observer'],
      ]),
    25_000,
  );
  expect((await crashcart(['ls', '-n', 'tools'])).stdout).toMatch(new RegExp(`^${name} .* bob \\+2$`, 'm'));
  expect((await kubectl(['get', 'dbg', name, '-n', 'tools', '-o', 'wide'])).stdout).toMatch(
    /ATTACHED.* EXIT.*\n(.*\n)*.* bob /,
  );

  bob.type('\u001d.');
  expect(await bob.exit()).toBe(0);
  await alice.expect(/bob has left: you type again/);
  alice.enter('echo "alice again $((40+2)) $(stty size)"');
  for (const terminal of [alice, carol]) await terminal.expect(/alice again 42 24 80/);

  alice.enter('exit 5');
  for (const terminal of [alice, carol]) expect(await terminal.exit()).toBe(5);
  expect(await attachedTo(name)).toBeUndefined();
});

test('after the API server’s restart each is what it was, and who watches misses nothing', async () => {
  using alice = as('alice', ['pod/box']);
  await eventually(async () => {
    alice.enter('echo "here $((40+2))"');
    await alice.expect(/here 42/, 2_000);
  }, 20_000);
  const name = await sessionOf('alice');
  using bob = as('bob', ['attach', name]);
  await bob.expect(/took over from alice/);
  using carol = as('carol', ['attach', name, '--watch']);
  await carol.expect(/also attached: .*bob \(typing\)/);

  bob.enter('for i in $(seq 1 200); do echo "line $i of it"; sleep 0.1; done; echo "all $((40+2))"');
  await carol.expect(/line 5 of it/);
  await open(cluster().name).restart(cluster().nodes[0]!.name, 'kube-apiserver');
  for (const terminal of [alice, bob, carol]) await terminal.expect(/all 42/, 60_000);
  const lines = [...carol.transcript.matchAll(/line (\d+) of it/g)].map(([, number]) => Number(number));
  // The command line itself was echoed, and shows none of these.
  expect(lines).toEqual(Array.from({ length: 200 }, (_, at) => at + 1));
  alice.enter('echo "alice $((40+2))"');
  bob.enter('echo "bob $((40+2))"');
  for (const terminal of [alice, bob, carol]) await terminal.expect(/bob 42/);
  expect(carol.transcript).not.toMatch(/alice 42/);
  await eventually(async () => expect((await kubectl(['get', '--raw', '/readyz'])).code).toBe(0), 60_000);
  bob.enter('exit');
  for (const terminal of [alice, bob, carol]) expect(await terminal.exit(30_000)).toBe(0);
});
