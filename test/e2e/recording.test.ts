import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { defaultNamespace } from '../../src/api/names.ts';
import { cluster, crashcart, crashcartTerminal, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { onNode } from '../support/node-leftovers.ts';
import { allLines, linesShown, sayLines } from '../support/numbered-lines.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';
import { upgrade } from './upgrade.ts';

nothingLeftAfterEach();

let directory: string;
let name: string;
let session: DebugSession;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'crashcart-replay-'));
  const profile = {
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugProfile',
    metadata: { name: 'recorded' },
    spec: { description: 'For the test of recordings.', recording: 'Full', requireReason: true },
  };
  expect(await kubectl(['apply', '-f', '-'], { input: JSON.stringify(profile) })).toMatchObject({ code: 0 });
  await kubectl(['create', 'rolebinding', 'paula', '-n', 'tools', '--clusterrole=crashcart-auditor', '--user=paula']);
  await kubectl(['create', 'rolebinding', 'ursel', '-n', 'tools', '--clusterrole=crashcart-user', '--user=ursel']);
});

afterAll(async () => {
  await kubectl(['delete', 'rolebinding', 'paula', 'ursel', '-n', 'tools']);
  await kubectl(['delete', 'debugprofile', 'recorded']);
  rmSync(directory, { recursive: true, force: true });
});

const replay = (as?: string, ...more: string[]) =>
  crashcart(['replay', name, '-n', 'tools', ...more], as === undefined ? {} : { as });

test('a session of a profile that records: the person is told, and the object says where it is', async () => {
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools', '--profile', 'recorded', '--reason', 'INC-42'], {
    cols: 120,
    rows: 40,
  });
  await terminal.expect(/this session is recorded/, 30_000);
  await terminal.expect(/box/);
  terminal.enter('read -s -p "Password: " it; echo "shown $((40+2)) $CRASHCART_SESSION"');
  await terminal.expect(/Password: /);
  terminal.enter('correct-horse');
  const [, found = ''] = await terminal.expect(/shown 42 tools\/(\S+)/);
  terminal.enter('exit 5');
  expect(await terminal.exit()).toBe(5);
  name = found;
  session = await eventually(async () => {
    const now = await getJson<DebugSession>(['get', 'debugsession', name, '-n', 'tools']);
    expect(now.status?.recording?.state).toBe('Complete');
    return now;
  }, 20_000);
  expect(session.status?.recording).toMatchObject({
    location: `node:${session.status?.nodeName}`,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
});

test('the recording is played: what was shown, not what was typed unseen', async () => {
  const { code, stdout, stderr } = await replay();
  expect(code).toBe(0);
  expect(stdout).toContain(`shown 42 tools/${name}`);
  expect(stdout).not.toContain('correct-horse');
  expect(stderr).toContain('INC-42');
  expect(stderr).toContain('profile recorded');
  const markers = await replay(undefined, '--markers');
  expect(markers.stdout).toMatch(/attached: \S+ \(audit id [0-9a-f-]{36}\)/);
  expect(markers.stdout).toContain('ended: Completed, exit code 5');
  const path = join(directory, 'session.cast');
  expect(await replay(undefined, '-o', path)).toMatchObject({ code: 0 });
  const file = readFileSync(path);
  expect(createHash('sha256').update(file).digest('hex')).toBe(session.status?.recording?.sha256);
  expect(file.toString()).toContain('"r", "120x40"');
  expect(await replay(undefined, '-o', path)).toMatchObject({ code: 1 });
});

test('it is played in a terminal, with its keys', async () => {
  using terminal = crashcartTerminal(['replay', name, '-n', 'tools', '--max-idle', '60s', '--speed', '0.1']);
  await terminal.expect(/space pauses/);
  for (let skip = 0; skip < 20; skip += 1) terminal.type('\u001b[C');
  await terminal.expect(/shown 42/);
  expect(await terminal.exit()).toBe(0);
});

test('who holds the role for it sees it; who uses sessions does not, and is told what is missing', async () => {
  const allowed = await replay('paula');
  expect(allowed.code).toBe(0);
  expect(allowed.stdout).toContain('shown 42');
  const refused = await replay('ursel');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('crashcart-auditor');
  expect(refused.stdout).not.toContain('shown 42');
});

const replaceAgent = async (nodeName: string): Promise<void> => {
  const label = ['-n', defaultNamespace, '-l', 'app.kubernetes.io/component=agent'];
  const where = ['--field-selector', `spec.nodeName=${nodeName}`, '--wait=true'];
  expect(await kubectl(['delete', 'pod', ...label, ...where])).toMatchObject({ code: 0 });
};

test('the agent is restarted: the recording is still there', async () => {
  await replaceAgent(session.status?.nodeName ?? '');
  await eventually(async () => expect(await replay()).toMatchObject({ code: 0 }), 60_000);
  expect((await replay()).stdout).toContain('shown 42');
});

test('the agent is replaced in the midst of a session: it goes on, and its recording is whole', async () => {
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools', '--profile', 'recorded', '--reason', 'INC-43']);
  terminal.enter('stty -echo; PS1=; echo "in $CRASHCART_SESSION."');
  const [, going = ''] = await terminal.expect(/in tools\/(\S+)\./, 30_000);
  const lines = 200;
  terminal.enter(sayLines(lines));
  await terminal.expect(/line 5\./);
  const replaced = replaceAgent(session.status?.nodeName ?? '');
  await terminal.expect(/connection lost/, 30_000);
  await replaced;
  await terminal.expect(/connected again/, 60_000);
  await terminal.expect(/all said/, 60_000);
  terminal.enter('exit 6');
  expect(await terminal.exit(30_000)).toBe(6);
  await eventually(async () => {
    const { status } = await getJson<DebugSession>(['get', 'debugsession', going, '-n', 'tools']);
    expect(status).toMatchObject({ phase: 'Finished', exit: { code: 6 }, recording: { state: 'Complete' } });
  }, 30_000);
  const { code, stdout } = await crashcart(['replay', going, '-n', 'tools']);
  expect(code).toBe(0);
  for (const shown of [terminal.transcript, stdout]) expect(linesShown(shown)).toEqual(allLines(lines));
  expect(stdout).toContain('all said');
}, 180_000);

test('without a reason such a session is refused before it starts', async () => {
  const result = await crashcart(['pod/box', '-n', 'tools', '--profile', 'recorded', '--', 'true']);
  expect(result.code).not.toBe(0);
  expect(result.stderr).toMatch(/reason/);
});

describe('with a directory as the store', () => {
  const store = '/var/lib/crashcart/store';
  const onNodes = (script: string) => Promise.all(cluster().nodes.map((node) => onNode(node, script)));
  // A directory of one node is no place for two controllers.
  beforeAll(async () => {
    await onNodes(`mkdir -p ${store} && chown 65532:65532 ${store}`);
    await upgrade('controller.replicas=1', 'recordings.store=directory', `recordings.directory.hostPath=${store}`);
  }, 240_000);

  afterAll(async () => {
    await upgrade('controller.replicas=2', 'recordings.store=');
    await onNodes(`rm -r ${store}`);
  }, 240_000);

  test('what is on the node goes there, and is played from there', async () => {
    const { uid } = session.metadata;
    const recording = await eventually(async () => {
      const now = await getJson<DebugSession>(['get', 'debugsession', name, '-n', 'tools']);
      expect(now.status?.recording?.location).toMatch(/^directory:/);
      return now.status?.recording;
    }, 60_000);
    const key = `${session.status?.nodeName}/tools/${name}-${uid}.cast`;
    expect(recording).toEqual({ ...session.status?.recording, location: `directory:${key}` });
    await eventually(async () => {
      const files = (await onNodes('ls /var/lib/crashcart/recordings')).map(({ stdout }) => stdout).join('');
      expect(files).not.toContain(uid);
    }, 30_000);
    const sums = (await onNodes(`sha256sum ${store}/${key} || true`)).map(({ stdout }) => stdout).join('');
    expect(sums).toContain(recording?.sha256);
    const { code, stdout } = await replay();
    expect(code).toBe(0);
    expect(stdout).toContain('shown 42');
  });
});
