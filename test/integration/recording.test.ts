import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { shippedProfiles } from '../../src/api/profile-rules.ts';
import { silentLogger } from '../../src/base/log.ts';
import { loadKernel } from '../../src/linux/kernel.ts';
import { type Cri, connectCri } from '../../src/node-agent/cri/cri.ts';
import { createLauncher } from '../../src/node-agent/launcher.ts';
import { Recordings } from '../../src/node-agent/recording/recordings.ts';
import { openProcessDeps } from '../../src/node-agent/session/deps.ts';
import { Registry } from '../../src/node-agent/sessions/registry.ts';
import type { Attachment, Frame } from '../../src/node-agent/sessions/sessions.ts';
import type { DesiredSession, ObservedSession } from '../../src/wire/agent-protocol.ts';
import { type CastEvent, type CastHeader, parseEvent, parseHeader } from '../../src/wire/asciicast.ts';
import { channels, resizePayload } from '../../src/wire/channel.ts';
import { exitOfStatus } from '../../src/wire/status.ts';
import { type Containerd, type RunningContainer, startContainerd } from '../support/containerd/containerd.ts';

const project = join(import.meta.dirname, '../..');
const kernel = loadKernel();
let containerd: Containerd;
let cri: Cri;
let processes: ReturnType<typeof openProcessDeps>;
let container: RunningContainer;
let state: string;
let directory: string;
let sessions: Registry;
let mounted: string | undefined;

beforeAll(async () => {
  execFileSync('make', ['-C', join(project, 'native')], { stdio: 'ignore' });
  execFileSync(process.execPath, [join(project, 'builder/main.ts'), 'toolbox'], { stdio: 'ignore' });
  state = mkdtempSync(join(tmpdir(), 'crashcart-state-'));
  containerd = await startContainerd();
  cri = connectCri(containerd.socket);
  processes = openProcessDeps({
    kernel,
    enterFile: join(project, 'build/native/crashcart-enter'),
    toolboxDirectory: join(project, 'build/toolbox'),
    cgroupRoot: '/sys/fs/cgroup',
    stateDirectory: state,
    log: silentLogger,
  });
  container = await containerd.runContainer({ uid: 'target', image: 'distroless' });
});

afterAll(async () => {
  processes?.[Symbol.dispose]();
  cri?.[Symbol.dispose]();
  await containerd?.[Symbol.asyncDispose]();
  rmSync(state, { recursive: true, force: true });
});

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crashcart-recordings-'));
});

afterEach(async () => {
  expect((await sessions.shutdown()).every(({ cleanedUp }) => cleanedUp)).toBe(true);
  if (mounted) execFileSync('umount', [mounted]);
  mounted = undefined;
  rmSync(directory, { recursive: true, force: true });
});

async function openSessions(at = directory): Promise<void> {
  const recordings = await Recordings.open({
    directory: at,
    maxBytes: 4 * 1024 ** 2,
    totalBytes: 64 * 1024 ** 2,
    keepMs: 3_600_000,
    log: silentLogger,
  });
  const observer = { launched: () => {}, transferred: () => {}, teardownFailed: () => {} };
  sessions = new Registry({ launch: createLauncher({ cri, processes }), log: silentLogger, observer, recordings });
}

let counter = 0;

function start(over: Partial<DesiredSession> = {}): string {
  counter += 1;
  const uid = `00000000-0000-4000-a000-${String(counter).padStart(12, '0')}`;
  sessions.put(
    {
      uid,
      namespace: 'default',
      name: `session-${counter}`,
      pod: { name: 'web-0', uid: 'target' },
      container: { name: 'main', id: container.id },
      toolbox: 'default',
      profile: 'general',
      rules: shippedProfiles.general,
      tty: true,
      stdin: true,
      visibility: 'Session',
      maxDurationMs: 600_000,
      idleTimeoutMs: 600_000,
      recording: { failure: 'End', user: 'alice', reason: 'INC-7' },
      ...over,
    },
    { auditId: 'audit-1' },
  );
  return uid;
}

const attach = (uid: string): Promise<Attachment> =>
  sessions.attach(uid, { stdin: true, stdout: true, stderr: true, tty: true, user: 'bob', auditId: 'audit-2' });

const enter = (client: Attachment, text: string): boolean =>
  client.input({ channel: channels.stdin, payload: Buffer.from(text) });

/** Follows a client: waits for a text, and for the end. */
function follow({ output }: Attachment) {
  let seen = '';
  const ended = (async () => {
    for await (const { channel, payload } of output as AsyncIterable<Frame>) {
      if (channel === channels.status) return exitOfStatus(payload);
      seen += Buffer.from(payload).toString();
    }
    return undefined;
  })();
  return { ended, shows: (text: string) => expect.poll(() => seen, { timeout: 15_000 }).toContain(text) };
}

const observed = (uid: string): ObservedSession => sessions.list().find((one) => one.uid === uid)!;
const settled = (uid: string) =>
  expect
    .poll(() => observed(uid).cleanedUp && observed(uid).recording?.state !== 'Recording', { timeout: 30_000 })
    .toBe(true);

function recorded(uid: string, at = directory): { header: CastHeader; events: readonly CastEvent[]; shown: string } {
  const [first = '', ...rest] = readFileSync(join(at, `${uid}.cast`), 'utf8')
    .trimEnd()
    .split('\n');
  const events = rest.map((line) => parseEvent(line));
  const shown = events.filter(({ code }) => code === 'o').map(({ data }) => data);
  return { header: parseHeader(first), events, shown: shown.join('') };
}

test('a shell on a terminal: what it showed is recorded, with sizes and who was there; a password that was not echoed is not', async () => {
  await openSessions();
  const uid = start();
  (await attach(uid)).close();
  const client = await attach(uid);
  const { ended, shows } = follow(client);
  expect(client.recorded).toBe(true);
  client.input({ channel: channels.resize, payload: resizePayload({ width: 132, height: 43 }) });
  enter(client, 'stty size\r');
  await shows('43 132');
  enter(client, 'read -s -p "Password: " secret && echo "got $(printf %s "$secret" | wc -c)"\r');
  await shows('Password: ');
  await expect.poll(() => recorded(uid).shown, { timeout: 15_000 }).toContain('Password: ');
  enter(client, 'hunter2-hunter2\r');
  await shows('got 15');
  enter(client, 'printf "caf\\303\\251 \\033[1mbold\\033[0m\\n"; exit 3\r');
  expect(await ended).toMatchObject({ code: 3 });
  await settled(uid);

  const { header, events, shown } = recorded(uid);
  expect(header.crashcart).toEqual({
    namespace: 'default',
    session: observed(uid).name,
    uid,
    pod: 'web-0',
    podUid: 'target',
    container: 'main',
    profile: 'general',
    tty: true,
    user: 'alice',
    reason: 'INC-7',
    auditId: 'audit-1',
  });
  expect(shown).toContain('43 132');
  expect(shown).toContain('caf\u00e9 \u001b[1mbold');
  expect(shown).toContain('got 15');
  const file = readFileSync(join(directory, `${uid}.cast`));
  expect(file.includes('hunter2')).toBe(false);
  expect(events.filter(({ code }) => code === 'i')).toEqual([]);
  expect(events.find(({ code }) => code === 'r')?.data).toBe('132x43');
  expect(events.filter(({ code }) => code === 'm').map(({ data }) => data)).toEqual([
    'attached: bob (audit id audit-2)',
    'detached: bob (audit id audit-2)',
    'attached: bob (audit id audit-2)',
    'ended: Completed, exit code 3',
  ]);
  expect(observed(uid).recording).toEqual({
    state: 'Complete',
    bytes: file.length,
    sha256: createHash('sha256').update(file).digest('hex'),
  });
});

test('a command without a terminal: standard output and error are told apart', async () => {
  await openSessions();
  const uid = start({ tty: false, command: ['sh', '-c', 'echo out; sleep 0.2; echo err >&2; sleep 0.2; echo out'] });
  const { ended } = follow(await attach(uid));
  expect(await ended).toMatchObject({ code: 0 });
  await settled(uid);
  expect(recorded(uid).events.filter(({ code }) => code === 'o' || code === 'e')).toMatchObject([
    { code: 'o', data: 'out\r\n' },
    { code: 'e', data: '2' },
    { code: 'o', data: 'err\r\n' },
    { code: 'e', data: '1' },
    { code: 'o', data: 'out\r\n' },
  ]);
});

test('nobody attached any more: it is recorded all the same, more than any buffer holds', async () => {
  await openSessions();
  const uid = start({ tty: false, stdin: false, command: ['sh', '-c', 'seq 1 200000'] });
  (await attach(uid)).close();
  await settled(uid);
  const lines = recorded(uid).shown.trimEnd().split('\r\n');
  expect(lines.length).toBe(200_000);
  expect(lines.at(-1)).toBe('200000');
  expect(observed(uid)).toMatchObject({ exit: { code: 0 }, recording: { state: 'Complete' } });
});

function smallDisk(): string {
  const disk = join(directory, 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', disk]);
  mounted = disk;
  return disk;
}

test('the disk is full: a session that must be recorded is ended, and says why', async () => {
  const disk = smallDisk();
  await openSessions(disk);
  const uid = start({ tty: false, command: ['sh', '-c', 'seq 1 100000; sleep 600'] });
  const { ended } = follow(await attach(uid));
  expect(await ended).toMatchObject({ code: 137, reason: 'RecordingFailed' });
  await settled(uid);
  expect(observed(uid)).toMatchObject({
    exit: { reason: 'RecordingFailed' },
    recording: { state: 'Incomplete', message: expect.stringContaining('ENOSPC') },
  });
  // What fitted is whole, and its checksum is that of the file.
  const { events, shown } = recorded(uid, disk);
  expect(shown.startsWith('1\r\n2\r\n3\r\n')).toBe(true);
  expect(events.length).toBeGreaterThan(2);
  const file = readFileSync(join(disk, `${uid}.cast`));
  expect(observed(uid).recording?.sha256).toBe(createHash('sha256').update(file).digest('hex'));
});

test('the disk is full: a session that need not be recorded goes on', async () => {
  await openSessions(smallDisk());
  const uid = start({
    tty: false,
    command: ['sh', '-c', 'seq 1 100000; echo done; exit 4'],
    recording: { failure: 'Continue' },
  });
  const { ended, shows } = follow(await attach(uid));
  await shows('done');
  expect(await ended).toMatchObject({ code: 4 });
  await settled(uid);
  expect(observed(uid)).toMatchObject({ exit: { reason: 'Completed' }, recording: { state: 'Incomplete' } });
});

test('no room from the start: it does not start, and nothing is left', async () => {
  const disk = smallDisk();
  await openSessions(disk);
  execFileSync('sh', ['-c', `cat /dev/zero > ${disk}/full 2>/dev/null || true`]);
  const uid = start();
  await expect(attach(uid)).rejects.toMatchObject({ reason: 'RecordingFailed' });
  await settled(uid);
  expect(observed(uid)).toMatchObject({ phase: 'Failed', failure: { reason: 'RecordingFailed' } });
  expect(readdirSync(disk)).toEqual(['full']);
});

test('only root reads it', async () => {
  await openSessions(join(directory, 'new'));
  const uid = start({ tty: false, command: ['true'] });
  await settled(uid);
  expect(statSync(join(directory, 'new')).mode & 0o777).toBe(0o700);
  expect(statSync(join(directory, 'new', `${uid}.cast`)).mode & 0o777).toBe(0o600);
});
