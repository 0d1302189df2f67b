import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { shippedProfiles } from '../../src/api/profile-rules.ts';
import { silentLogger } from '../../src/base/log.ts';
import { closeAll, loadKernel } from '../../src/linux/kernel.ts';
import { type Cri, connectCri } from '../../src/node-agent/cri/cri.ts';
import { createLauncher } from '../../src/node-agent/launcher.ts';
import { openProcessDeps } from '../../src/node-agent/session/deps.ts';
import { Registry } from '../../src/node-agent/sessions/registry.ts';
import type { Attachment, Frame } from '../../src/node-agent/sessions/sessions.ts';
import type { DesiredSession } from '../../src/wire/agent-protocol.ts';
import { channels, resizePayload } from '../../src/wire/channel.ts';
import { exitOfStatus } from '../../src/wire/status.ts';
import { hierarchies } from '../cluster/cgroup.ts';
import { type Containerd, type RunningContainer, startContainerd } from '../support/containerd/containerd.ts';

const project = join(import.meta.dirname, '../..');
const kernel = loadKernel();
let containerd: Containerd;
let cri: Cri;
let processes: ReturnType<typeof openProcessDeps>;
let container: RunningContainer;
let sessions: Registry;
let state: string;

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
  // Opens the toolbox, which stays open for the agent's life.
  closeAll(kernel, processes.toolboxes.clone('default'));
  container = await containerd.runContainer({ uid: 'target', image: 'distroless', readOnly: true });
});

afterAll(async () => {
  processes?.[Symbol.dispose]();
  cri?.[Symbol.dispose]();
  await containerd?.[Symbol.asyncDispose]();
  rmSync(state, { recursive: true, force: true });
});

let descriptors: string[];

beforeEach(() => {
  descriptors = openDescriptors();
  const observer = { launched: () => {}, transferred: () => {}, teardownFailed: () => {} };
  sessions = new Registry({ launch: createLauncher({ cri, processes }), log: silentLogger, observer });
});

afterEach(async () => {
  for (const { uid } of sessions.list())
    expect(await sessions.remove(uid, 'Deleted')).toMatchObject({ cleanedUp: true });
  await sessions.shutdown();
  for (const hierarchy of hierarchies()) {
    const directory = join(hierarchy, containerd.cgroup, 'crashcart');
    if (existsSync(directory))
      expect(readdirSync(directory, { withFileTypes: true }).filter((d) => d.isDirectory())).toEqual([]);
  }
  await expect.poll(openDescriptors, { timeout: 2_000 }).toEqual(descriptors);
});

const openDescriptors = (): string[] =>
  readdirSync('/proc/self/fd')
    .flatMap((fd) => {
      try {
        const to = readlinkSync(`/proc/self/fd/${fd}`);
        return to.startsWith('socket:') ? [] : [to.replace(/\d+/g, 'N')];
      } catch {
        return []; // the one that lists them
      }
    })
    .sort();

let counter = 0;

const start = (over: Partial<DesiredSession> = {}, from: RunningContainer = container): string => {
  counter += 1;
  const uid = `00000000-0000-4000-8000-${String(counter).padStart(12, '0')}`;
  sessions.put(
    {
      uid,
      namespace: 'default',
      name: `session-${counter}`,
      pod: { name: 'web-0', uid: 'target' },
      container: { name: 'main', id: from.id },
      toolbox: 'default',
      profile: 'general',
      rules: shippedProfiles.general,
      tty: false,
      stdin: true,
      visibility: 'Session',
      maxDurationMs: 600_000,
      idleTimeoutMs: 600_000,
      ...over,
    },
    { auditId: 'audit-1' },
  );
  return uid;
};

const attach = (uid: string, tty = false): Promise<Attachment> =>
  sessions.attach(uid, { stdin: true, stdout: true, stderr: true, tty });

interface Heard {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly exit: ReturnType<typeof exitOfStatus>;
}

async function hear({ output }: Attachment): Promise<Heard> {
  const frames: Frame[] = [];
  for await (const frame of output) frames.push(frame as Frame);
  const of = (channel: number): Buffer =>
    Buffer.concat(frames.filter((frame) => frame.channel === channel).map(({ payload }) => payload));
  return {
    stdout: of(channels.stdout),
    stderr: of(channels.stderr).toString(),
    exit: exitOfStatus(of(channels.status)),
  };
}

async function type(client: Attachment, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length; at += 32_768) {
    const frame = { channel: channels.stdin, payload: data.subarray(at, at + 32_768) };
    while (!client.input(frame)) await new Promise<void>((resolve) => client.onDrain(resolve));
  }
}

/** Reads a terminal until it shows `text`. */
function shows(client: Attachment, text: string): Promise<string> {
  let seen = '';
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not seen: ${text}; but: ${seen}`)), 10_000);
    const look = (frame: Frame): void => {
      seen += Buffer.from(frame.payload).toString();
      if (!seen.includes(text)) return;
      clearTimeout(timer);
      client.output.off('data', look);
      resolve(seen);
    };
    client.output.on('data', look);
  });
}

describe('a command', () => {
  test('runs in the container, with the toolbox, and its exit code comes last', async () => {
    const uid = start({ command: ['bash', '-c', 'echo "$CRASHCART_SESSION"; ls /; id -u; echo oops >&2; exit 7'] });
    const { stdout, stderr, exit } = await hear(await attach(uid));
    expect(stdout.toString()).toContain(`default/session-${counter}`);
    expect(stdout.toString()).toContain('workload');
    expect(stdout.toString()).toContain('65532');
    expect(stderr).toBe('oops\n');
    expect(exit).toMatchObject({ code: 7 });
  });

  test('that is not there exits with 127 and says so, as in a shell', async () => {
    const { stderr, exit } = await hear(await attach(start({ command: ['no-such-program'] })));
    expect(exit).toMatchObject({ code: 127 });
    expect(stderr).toContain('no-such-program');
  });

  test('reads a megabyte of input to its end and gives it back unchanged', async () => {
    const client = await attach(start({ command: ['cat'] }));
    const data = Buffer.alloc(1024 * 1024, 'The quick brown fox. ');
    const heard = hear(client);
    await type(client, data);
    client.input({ channel: channels.close, payload: Buffer.from([channels.stdin]) });
    const { stdout, exit } = await heard;
    expect(stdout.equals(data)).toBe(true);
    expect(exit).toEqual({ code: 0 });
  });

  test('that ended long before anybody came loses no output', async () => {
    const uid = start({ command: ['bash', '-c', 'for ((i=0;i<30000;i++)); do echo $i; done'], stdin: false });
    await expect.poll(() => sessions.list()[0]?.phase, { timeout: 10_000 }).toBe('Finished');
    const { stdout } = await hear(await attach(uid));
    expect(stdout.toString()).toBe(Array.from({ length: 30_000 }, (_, at) => `${at}\n`).join(''));
  });

  test('takes what it left in the background with it', async () => {
    const uid = start({ command: ['bash', '-c', 'sleep 1000 & echo $!'] });
    const { stdout, exit } = await hear(await attach(uid));
    expect(exit).toEqual({ code: 0 });
    expect(stdout.toString()).toMatch(/^\d+\n$/);
    await expect.poll(() => sessions.list()[0]?.cleanedUp).toBe(true);
  });
});

describe('a shell', () => {
  test('has a prompt, a terminal of the client’s size, and the exit code of `exit`', async () => {
    const client = await attach(start({ tty: true }), true);
    client.input({ channel: channels.resize, payload: resizePayload({ width: 91, height: 17 }) });
    await type(client, Buffer.from('tty; stty size; echo done-$((40+2))\n'));
    const seen = await shows(client, 'done-42');
    expect(seen).toContain('/dev/pts/');
    expect(seen).toContain('17 91');
    const heard = hear(client);
    await type(client, Buffer.from('exit 5\n'));
    expect((await heard).exit).toMatchObject({ code: 5 });
  });

  test('goes on without its client, who finds it where it was', async () => {
    const uid = start({ tty: true });
    const first = await attach(uid, true);
    await type(first, Buffer.from('secret=value-$((1000+1))\n'));
    await type(first, Buffer.from('echo set-$((1+1))\n'));
    await shows(first, 'set-2');
    first.close();
    const second = await attach(uid, true);
    await type(second, Buffer.from('echo "[$secret]"\n'));
    await shows(second, '[value-1001]');
    second.close();
  });

  test('is interrupted by Ctrl-C, not ended', async () => {
    const client = await attach(start({ tty: true }), true);
    await type(client, Buffer.from('echo run-$((1+1)); sleep 100\n'));
    await shows(client, 'run-2');
    await new Promise((resolve) => setTimeout(resolve, 300));
    await type(client, Buffer.from([3]));
    await type(client, Buffer.from('echo code-$?\n'));
    await shows(client, 'code-130');
  });
});

describe('an end from outside', () => {
  test('removing a session kills it, tells its client and leaves nothing', async () => {
    const uid = start({ tty: true });
    const client = await attach(uid, true);
    await shows(client, '$').catch(() => shows(client, '#'));
    const heard = hear(client);
    expect(await sessions.remove(uid, 'Deleted')).toMatchObject({ phase: 'Finished', cleanedUp: true });
    expect((await heard).exit).toMatchObject({ code: 137, reason: 'Deleted' });
    expect(sessions.list()).toEqual([]);
  });

  test('the end of the container ends its sessions, with that as the reason', async () => {
    const other = await containerd.runContainer({ uid: 'short', image: 'busybox' });
    const uid = start({ command: ['sleep', '1000'], pod: { name: 'short', uid: 'short' } }, other);
    const heard = hear(await attach(uid));
    await other.stop();
    expect((await heard).exit).toMatchObject({ code: 137, reason: 'ContainerExited' });
  });

  test('the longest duration is kept without anybody attached', async () => {
    start({ command: ['sleep', '1000'], maxDurationMs: 300 });
    await expect.poll(() => sessions.list()[0]?.exit?.reason, { timeout: 5_000 }).toBe('MaxDurationExceeded');
  });
});

test.each([
  ['an unknown toolbox', { toolbox: 'nothing' }, 'ToolboxNotFound'],
  ['another pod', { pod: { name: 'web-0', uid: 'replaced' } }, 'PodReplaced'],
])('%s is the failure of the session and of whoever attaches', async (_title, over, reason) => {
  await expect(attach(start(over))).rejects.toMatchObject({ reason });
  await expect.poll(() => sessions.list()[0]).toMatchObject({ phase: 'Failed', cleanedUp: true, failure: { reason } });
});

test('ten sessions on one container at once keep their output apart', async () => {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  const heard = await Promise.all(
    Array.from({ length: 10 }, async (_, at) =>
      hear(await attach(start({ command: ['bash', '-c', `echo ${at}; exit ${at}`] }))),
    ),
  );
  expect(heard.map(({ stdout }) => stdout.toString())).toEqual(Array.from({ length: 10 }, (_, at) => `${at}\n`));
  expect(heard.map(({ exit }) => exit.code)).toEqual(Array.from({ length: 10 }, (_, at) => at));
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).toBe(mounts);
});
