import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { must } from '../support/dry-run.ts';
import { crashcart, crashcartTerminal, getJson, kubectl } from '../support/environment.ts';
import { eventLines } from '../support/event-lines.ts';
import { eventually } from '../support/eventually.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

nothingLeftAfterEach();

const sessionsOf = async (pod: string, namespace: string): Promise<DebugSession[]> => {
  const list = await getJson<{ items: DebugSession[] }>(['get', 'debugsessions', '-n', namespace]);
  return list.items.filter((item) => item.spec.target.pod.name === pod);
};

test('a distroless, non-root, read-only container of a restricted namespace gets a shell with a terminal of its own', async () => {
  using terminal = crashcartTerminal(['pod/cart-0', '-n', 'shop'], { cols: 100, rows: 30 });
  await terminal.expect(/cart-0/);
  terminal.enter('echo "who=$(id -u):$(id -g) tty=$(tty) size=$(stty size) one=$(cat /proc/1/comm)"');
  await terminal.expect(/who=65532:65532 tty=\/dev\/pts\/0 size=30 100 one=\S+/);

  // The root is the container's own, and stays read-only; the tools are a read-only mount that only this session sees.
  terminal.enter('touch /x || echo "root is $((40+2)) read-only"; ls -d /dev/crashcart/bin');
  await terminal.expect(/root is 42 read-only/);
  await terminal.expect(/\/dev\/crashcart\/bin/);

  terminal.resize(132, 43);
  terminal.enter('echo "now=$(stty size)"');
  await terminal.expect(/now=43 132/);

  // What the job itself writes: before that the keys would reach a shell that has not started it yet.
  terminal.enter("sh -c 'echo job $((40+1)) runs; exec sleep 1000'");
  await terminal.expect(/job 41 runs/);
  terminal.type('\u0003');
  terminal.enter('echo "interrupted=$?"');
  await terminal.expect(/interrupted=130/);

  terminal.enter("sh -c 'echo job $((40+1)) runs; exec sleep 1000'");
  await terminal.expect(/job 41 runs/);
  terminal.type('\u001a');
  await terminal.expect(/Stopped/);
  terminal.enter('bg; jobs; kill %1; wait; echo "jobs $((40+2)) done"');
  await terminal.expect(/Running/);
  await terminal.expect(/jobs 42 done/);

  terminal.enter('exit 7');
  expect(await terminal.exit()).toBe(7);

  const [session] = await eventually(async () => {
    const found = (await sessionsOf('cart-0', 'shop')).filter((each) => each.status?.exit?.code === 7);
    expect(found.length).toBeGreaterThan(0);
    return found;
  });
  expect(session?.status).toMatchObject({ phase: 'Finished', exit: { code: 7, reason: 'Completed' } });
  expect(session?.metadata).not.toHaveProperty('ownerReferences');
});

test('the operator’s own terminal is as it was before, whichever way the session ends', async () => {
  const { tools } = (await import('../support/environment.ts')).cluster();
  const { Terminal } = await import('../support/terminal.ts');
  const { cluster } = await import('../support/environment.ts');
  for (const ending of ['exit 3', 'kill -9 $$']) {
    using terminal = new Terminal('/bin/sh', [], { env: { KUBECONFIG: cluster().kubeconfig, PS1: '@ ' } });
    terminal.enter(`stty -a > /tmp/crashcart-before.$$; ${tools.crashcart} pod/box -n tools; echo "code=$?"`);
    await terminal.expect(/box/);
    await terminal.expect(/\$ |# /);
    terminal.enter(ending);
    await terminal.expect(ending === 'exit 3' ? /code=3/ : /code=137/);
    terminal.enter('stty -a | cmp - /tmp/crashcart-before.$$ && echo "same=$((40+2))"; rm -f /tmp/crashcart-before.$$');
    await terminal.expect(/same=42/);
    terminal.enter('exit');
    await terminal.exit();
  }
});

test('a command without a terminal: 1 MB of standard input passes unchanged, standard error stays apart, the exit code is true', async () => {
  const input = randomBytes(1 << 20);
  const sum = createHash('sha256').update(input).digest('hex');
  const result = await crashcart(
    ['pod/cart-0', '-n', 'shop', '-i', '--', 'sh', '-c', 'sha256sum; echo oops >&2; exit 9'],
    { input },
  );
  expect(result.stdout).toBe(`${sum}  -\n`);
  expect(result.stderr).toContain('oops');
  expect(result.stdout).not.toContain('oops');
  expect(result.code).toBe(9);
});

test('output larger than every buffer on the way arrives whole', async () => {
  const bytes = 20_000_000;
  const result = await crashcart(['pod/box', '-n', 'tools', '--', 'sh', '-c', `yes crashcart | head -c ${bytes}`]);
  expect(result.code).toBe(0);
  expect(result.stdout === 'crashcart\n'.repeat(bytes / 10)).toBe(true);
});

test('a session of a pod on each node, picked through its deployment', async () => {
  const pods = await getJson<{ items: { metadata: { name: string }; spec: { nodeName: string } }[] }>([
    'get',
    'pods',
    '-n',
    'shop',
    '-l',
    'app=checkout',
  ]);
  const nodes = new Set(pods.items.map((pod) => pod.spec.nodeName));
  expect(nodes.size).toBe(2);
  for (const pod of pods.items) {
    const result = await crashcart([`pod/${pod.metadata.name}`, '-n', 'shop', '--', 'hostname']);
    expect(result).toMatchObject({ code: 0, stdout: `${pod.metadata.name}\n` });
  }
  const picked = await crashcart(['deploy/checkout', '-n', 'shop', '--', 'hostname']);
  expect(picked.code).toBe(0);
  expect(pods.items.map((pod) => pod.metadata.name)).toContain(picked.stdout.trim());
  expect(picked.stderr).toContain(picked.stdout.trim());
});

test('a pod in a user namespace: root inside, nobody of importance outside', async () => {
  using terminal = crashcartTerminal(['pod/mapped', '-n', 'tools']);
  await terminal.expect(/mapped/);
  terminal.enter('echo "uid=$(id -u) tty=$(tty) map=$(awk "{print (\\$2 > 0)}" /proc/self/uid_map)"');
  await terminal.expect(/uid=0 tty=\/dev\/pts\/0 map=1/);
  terminal.enter('exit 0');
  expect(await terminal.exit()).toBe(0);
});

test('kubectl apply, then attach with the line from its status', async () => {
  const manifest = {
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugSession',
    metadata: { name: 'by-hand', namespace: 'shop' },
    spec: { target: { pod: { name: 'cart-0' } }, reason: 'cart' },
  };
  expect(await kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })).toMatchObject({ code: 0 });
  const ready = await kubectl(['wait', '-n', 'shop', 'dbg/by-hand', '--for=condition=Ready', '--timeout=20s']);
  expect(ready).toMatchObject({ code: 0 });

  const session = await getJson<DebugSession>(['get', 'dbg', 'by-hand', '-n', 'shop']);
  expect(session.status?.attach).toBe('kubectl crashcart attach by-hand -n shop');
  expect(session.spec).toMatchObject({ toolbox: 'default', profile: 'general', tty: true, visibility: 'Session' });
  expect(session.metadata.finalizers).toContain('crashcart.dev/session');

  using terminal = crashcartTerminal(['attach', 'by-hand', '-n', 'shop']);
  terminal.enter('echo "hello from $CRASHCART_SESSION"');
  await terminal.expect(/hello from shop\/by-hand/);
  const me = session.spec.requestedBy?.username;
  // Where the pod's owner looks, while somebody is inside.
  const started = `DebugSessionStarted.*debug session by-hand of ${me} runs in container "[^"]+" with profile general, because: cart`;
  await eventually(async () =>
    expect(await must('describe', 'pod', '-n', 'shop', 'cart-0')).toMatch(new RegExp(started)),
  );
  terminal.enter('exit 4');
  expect(await terminal.exit()).toBe(4);

  const table = await kubectl(['get', 'dbg', '-n', 'shop', 'by-hand']);
  expect(table.stdout).toMatch(/NAME\s+TARGET\s+NODE\s+PHASE/);
  expect(table.stdout).toMatch(/by-hand\s+cart-0\s+\S+\s+Finished/);
  // An ordinary end is told once, on the session: who, from when, how long, how it ended, with which profile and why.
  const ended = await eventually(async () => {
    const fields = ['involvedObject.kind', 'related.kind', 'related.name', 'message'];
    const found = await eventLines('shop', fields, '--field-selector=reason=DebugSessionEnded');
    expect(found).toContain('debug session by-hand');
    return found.split('\n').filter((each) => each.includes('debug session by-hand'));
  });
  expect(ended).toEqual([
    expect.stringMatching(
      new RegExp(
        `^DebugSession Pod cart-0 debug session by-hand of ${me} in container "[^"]+", from 20\\S+Z for \\d+s: the session has ended with code 4; it ran with profile general, because: cart$`,
      ),
    ),
  ]);
  expect(await kubectl(['delete', 'dbg', 'by-hand', '-n', 'shop', '--timeout=20s'])).toMatchObject({ code: 0 });
});

test('a command of a session runs though nobody attaches, and its exit code is in the object', async () => {
  const manifest = {
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugSession',
    metadata: { name: 'unattended', namespace: 'tools' },
    spec: { target: { pod: { name: 'box' } }, tty: false, command: ['sh', '-c', 'cat; exit 5'] },
  };
  expect(await kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })).toMatchObject({ code: 0 });
  await eventually(async () => {
    const session = await getJson<DebugSession>(['get', 'dbg', 'unattended', '-n', 'tools']);
    expect(session.status).toMatchObject({ phase: 'Finished', exit: { code: 5 } });
  });
  const changed = await kubectl([
    'patch',
    'dbg',
    'unattended',
    '-n',
    'tools',
    '--type=merge',
    '-p',
    '{"spec":{"profile":"sysadmin"}}',
  ]);
  expect(changed.code).not.toBe(0);
  expect(changed.stderr).toMatch(/cannot be changed/);
  expect(await kubectl(['delete', 'dbg', 'unattended', '-n', 'tools', '--timeout=20s'])).toMatchObject({ code: 0 });
});

test('two sessions on one container both work, and neither sees the other’s tools disappear', async () => {
  using first = crashcartTerminal(['pod/box', '-n', 'tools']);
  using second = crashcartTerminal(['pod/box', '-n', 'tools', '--visibility', 'Container']);
  await first.expect(/box/);
  await second.expect(/box/);
  second.enter('exit 0');
  expect(await second.exit()).toBe(0);
  first.enter('ls /dev/crashcart/bin/bash && echo "still $((40+2))"');
  await first.expect(/still 42/);
  first.enter('exit 0');
  expect(await first.exit()).toBe(0);
});

test('Container visibility: kubectl exec of the container sees the tools while the session lives, and not after', async () => {
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools', '--visibility', 'Container']);
  await terminal.expect(/box/);
  await eventually(async () => {
    const seen = await kubectl([
      'exec',
      '-n',
      'tools',
      'box',
      '--',
      '/dev/crashcart/profile/bin/bash',
      '-c',
      'echo in $0',
    ]);
    expect(seen).toMatchObject({ code: 0, stdout: expect.stringContaining('in ') });
  });
  terminal.enter('exit 0');
  await terminal.exit();
  await eventually(async () => {
    const gone = await kubectl(['exec', '-n', 'tools', 'box', '--', 'ls', '/dev/crashcart']);
    expect(gone.code).not.toBe(0);
  });
});

test('the pod itself is not changed by any of it', async () => {
  const before = await getJson<{ metadata: { resourceVersion: string }; spec: unknown }>([
    'get',
    'pod',
    'box',
    '-n',
    'tools',
  ]);
  expect(await crashcart(['pod/box', '-n', 'tools', '--', 'true'])).toMatchObject({ code: 0 });
  const after = await getJson<{ metadata: { resourceVersion: string }; spec: unknown }>([
    'get',
    'pod',
    'box',
    '-n',
    'tools',
  ]);
  expect(after.metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  expect(after.spec).toEqual(before.spec);
});
