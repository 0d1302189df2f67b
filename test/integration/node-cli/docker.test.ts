import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { startContainer, startDocker } from './docker.ts';
import { startNode, type TestNode } from './test-node.ts';

const project = join(import.meta.dirname, '../../..');
const rcShell = ['/dev/crashcart/profile/bin/bash', '--rcfile', '/dev/crashcart/.crashcartrc', '-i'];

let node: TestNode;
let id: string;
let before: { node: string; web: string };

beforeAll(async () => {
  execFileSync(process.execPath, [join(project, 'builder/main.ts'), 'toolbox'], { stdio: 'ignore' });
  execFileSync(process.execPath, [join(project, 'builder/main.ts'), 'node-cli'], { stdio: 'ignore' });
  node = await startNode();
  await startDocker(node);
  id = await startContainer(node, 'web');
  await startContainer(
    node,
    'distroless',
    ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'],
    'distroless',
  );
  await node.crashcart(['ps']); // makes the state directory
  before = await traces();
}, 180_000);

afterAll(() => node?.[Symbol.asyncDispose]());

const pidOf = async (name: string): Promise<string> =>
  (await node.must('docker', ['inspect', '--format', '{{.State.Pid}}', name])).trim();
const dev = (name: string): Promise<string> => node.must('docker', ['exec', name, 'ls', '/dev']);

async function traces(): Promise<{ node: string; web: string }> {
  const pid = await pidOf('web');
  const web = await node.must('sh', ['-c', `cat /proc/${pid}/mountinfo; ls -a /proc/${pid}/root/dev`]);
  return { node: await node.traces(), web };
}

afterEach(async () => {
  expect(await traces()).toEqual(before);
});

describe('a shell', () => {
  it('has a prompt, a terminal, job control and tools, and leaves with its exit code', async () => {
    using terminal = node.terminal(join(project, 'build/bin/crashcart'), ['web']);
    await terminal.expect(/crashcart.* web:\/.* \$ |crashcart.* web:\/.*# /);
    terminal.enter('tty; echo "$PATH"; which tar');
    await terminal.expect(
      /\/dev\/pts\/0\s+\/dev\/crashcart\/bin:\/dev\/crashcart\/sbin:\/bin\s+\/dev\/crashcart\/bin\/tar/,
    );
    terminal.resize(91, 33);
    // Said by the very process that Ctrl-C is for: it is in the foreground by then.
    terminal.enter(`stty size; sh -c 'echo asleep $((1 + 1)); exec sleep 100'`);
    await terminal.expect(/33 91\s+asleep 2/);
    terminal.type('\x03');
    terminal.enter('echo back $?');
    await terminal.expect(/back 130/);
    terminal.enter('exit 3');
    expect(await terminal.exit()).toBe(3);
  });

  it('is in a container without any shell, without root, with a read-only root', async () => {
    using terminal = node.terminal(join(project, 'build/bin/crashcart'), ['--private', 'distroless']);
    await terminal.expect(/distroless/);
    terminal.enter('id; touch /x; exit');
    await terminal.expect(/uid=65532.*Read-only file system/s);
    expect(await terminal.exit()).toBe(1);
  });

  it('reads a script from standard input where there is no terminal', async () => {
    const script = 'echo $((6 * 7)); id -u; exit 9';
    expect(await node.crashcart(['web'], { input: script })).toEqual({ code: 9, stdout: '42\n0\n', stderr: '' });
  });
});

describe('a command', () => {
  it('keeps its streams apart, and every byte', async () => {
    const bytes = randomBytes(3_000_000);
    const sum = createHash('sha256').update(bytes).digest('hex');
    const { code, stdout, stderr } = await node.crashcart(['web', 'sh', '-c', 'sha256sum; echo done >&2'], {
      input: bytes,
    });
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `${sum}  -\n`, stderr: 'done\n' });
  });

  it.each([
    ['exit 7', 7],
    ['kill -TERM $$', 143],
    ['kill -9 $$', 137],
  ])('"%s" ends with %i', async (script, code) => {
    expect(await node.crashcart(['web', 'sh', '-c', script])).toMatchObject({ code });
  });

  it('that is not there ends with 127', async () => {
    expect(await node.crashcart(['web', 'no-such-command'])).toMatchObject({
      code: 127,
      stderr: expect.stringContaining('no-such-command'),
    });
  });

  it('gets its own flags, and the user, profile and capabilities that were asked for', async () => {
    const { stdout } = await node.crashcart([
      '--user',
      '1234:5',
      '--profile',
      'baseline',
      '--cap',
      'net_admin',
      'distroless',
      'sh',
      '-c',
      'id -u; id -g; grep CapEff /proc/self/status',
    ]);
    // NET_ADMIN, and WAKE_ALARM that keeps the container from tracing it.
    expect(stdout).toBe('1234\n5\nCapEff:\t0000000800001000\n');
  });
});

describe('a container', () => {
  it.each(['id', 'the start of its id', 'its name', 'its pid', 'the pid of another process in it'])(
    'is found by %s',
    async (how) => {
      const inner = (await node.must('docker', ['top', 'web', '-o', 'pid'])).trim().split('\n').at(-1)!;
      const names: Readonly<Record<string, string>> = {
        id,
        'the start of its id': id.slice(0, 10),
        'its name': 'web',
        'its pid': await pidOf('web'),
      };
      expect(await node.crashcart([names[how] ?? inner, 'hostname'])).toMatchObject({
        code: 0,
        stdout: `${id.slice(0, 12)}\n`,
      });
    },
  );

  it('that does not run, or is not there, is an error that says so', async () => {
    await startContainer(node, 'old');
    await node.must('docker', ['stop', '--time', '0', 'old']);
    expect(await node.crashcart(['old', 'true'])).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/old of docker is not running \(exited\)/),
    });
    expect(await node.crashcart(['nope', 'true'])).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/called "nope"/),
    });
    expect(await node.crashcart(['--runtime', 'pid', '1', 'true'])).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/in no container of this node/),
    });
    await node.must('docker', ['rm', 'old']);
  });

  it('with something of its own at /dev/crashcart is left as it is', async () => {
    await node.must('docker', ['exec', 'web', 'sh', '-c', 'echo mine >/dev/crashcart']);
    for (const flags of [
      ['-m', 'web'],
      ['web', 'true'],
      ['--private', 'web', 'true'],
    ]) {
      expect(await node.crashcart(flags)).toMatchObject({
        code: 125,
        stderr: expect.stringMatching(/a file of its own at \/dev\/crashcart/),
      });
    }
    expect(await node.must('docker', ['exec', 'web', 'cat', '/dev/crashcart'])).toBe('mine\n');
    await node.must('docker', ['exec', 'web', 'rm', '/dev/crashcart']);
  });

  it('that ends takes its session with it', async () => {
    await startContainer(node, 'short');
    using terminal = node.terminal(join(project, 'build/bin/crashcart'), ['short']);
    await terminal.expect(/short:/);
    await node.must('docker', ['rm', '--force', 'short']);
    expect(await terminal.exit()).toBe(137);
    expect(terminal.transcript).toMatch(/short of docker has ended, and the session with it/);
  });
});

describe('-m', () => {
  it('shows the toolbox to the lines of the original’s manual, until -u', async () => {
    expect(await node.crashcart(['-m', 'web'])).toMatchObject({ code: 0 });
    expect(await node.must('docker', ['exec', 'web', '/dev/crashcart/bin/uname'])).toBe('Linux\n');

    using docker = node.terminal('docker', ['exec', '-it', 'web', ...rcShell]);
    await docker.expect(/crashcart/);
    docker.enter('type -p vi; exit 4');
    await docker.expect(/\/dev\/crashcart\/bin\/vi/);
    expect(await docker.exit()).toBe(4);

    using nsenter = node.terminal('nsenter', [
      '-m',
      '-u',
      '-i',
      '-n',
      '-p',
      '-t',
      await pidOf('web'),
      '--',
      ...rcShell,
    ]);
    await nsenter.expect(/crashcart/);
    nsenter.enter('type -p vi; exit 5');
    await nsenter.expect(/\/dev\/crashcart\/bin\/vi/);
    expect(await nsenter.exit()).toBe(5);

    expect(await node.crashcart(['-u', 'web'])).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await dev('web')).not.toContain('crashcart');
    expect(await node.crashcart(['-u', 'web'])).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/There is no/),
    });
  });

  it('said twice is there once, and a session in between does not take it away', async () => {
    for (let time = 0; time < 2; time++) await node.crashcart(['-m', 'web']);
    expect(await node.crashcart(['web', 'true'])).toMatchObject({ code: 0 });
    expect(await node.crashcart(['--private', 'web', 'true'])).toMatchObject({ code: 0 });
    const shown = JSON.parse((await node.crashcart(['--json', 'ps'])).stdout);
    expect(shown).toMatchObject([{ container: { label: 'web' }, heldBy: ['-m'], visibility: 'container' }]);
    await node.crashcart(['-u', 'web']);
  });

  it('in many containers is one file system', async () => {
    const names = ['one', 'two', 'three'];
    for (const name of names) await startContainer(node, name);
    for (const name of names) await node.crashcart(['-m', name]);
    const devices = await Promise.all(
      names.map((name) => node.must('docker', ['exec', name, 'stat', '-c', '%d', '/dev/crashcart'])),
    );
    expect(new Set(devices).size).toBe(1);
    for (const name of names) await node.crashcart(['-u', name]);
    await node.must('docker', ['rm', '--force', ...names]);
  });

  it('is forgotten with its container', async () => {
    await startContainer(node, 'brief');
    await node.crashcart(['-m', 'brief']);
    await node.must('docker', ['rm', '--force', 'brief']);
    expect(await node.crashcart(['ps'])).toMatchObject({ code: 0, stdout: expect.not.stringContaining('brief') });
  });

  it('-u waits for a session that uses it', async () => {
    await node.crashcart(['-m', 'web']);
    using terminal = node.terminal(join(project, 'build/bin/crashcart'), ['web']);
    await terminal.expect(/web:/);
    expect(await node.crashcart(['-u', 'web'])).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/1 session\(s\) still use.*goes with the last/),
    });
    expect(await dev('web')).toContain('crashcart');
    const { stdout } = await node.crashcart(['ps']);
    expect(stdout).toMatch(/^web +docker +default +container +session \d+ +\d+s +bash\(\d+\)$/m);
    terminal.enter('exit');
    expect(await terminal.exit()).toBe(0);
  });
});

describe('--private', () => {
  it('shows the toolbox to its session only', async () => {
    using terminal = node.terminal(join(project, 'build/bin/crashcart'), ['--private', 'web']);
    await terminal.expect(/web:/);
    expect(await dev('web')).not.toContain('crashcart');
    expect((await node.crashcart(['ps'])).stdout).toMatch(/^web +docker +default +session +session \d+/m);
    terminal.enter('exit');
    await terminal.exit();
  });
});

describe('a crashcart that is killed', () => {
  it.each([['web'], ['--private', 'web']])('leaves nothing that the next one does not remove (%s)', async (...args) => {
    using terminal = node.terminal(join(project, 'build/bin/crashcart'), args);
    await terminal.expect(/web:/);
    terminal.enter('echo ready; sleep 1234');
    await terminal.expect(/ready\s+$/);
    const { stdout } = await node.run('pgrep', ['-f', '^/.*build/bin/crashcart .*web$']);
    for (const pid of stdout.trim().split('\n')) await node.run('kill', ['-9', pid]);
    await eventually(async () => {
      expect((await node.crashcart(['ps'])).stdout.trim().split('\n')).toHaveLength(1);
      expect((await node.run('pgrep', ['-f', 'sleep 1234'])).code).toBe(1);
    });
  });
});

describe('-e', () => {
  it('goes through docker exec, on streams and on a terminal', async () => {
    expect(
      await node.crashcart(['-e', 'web', 'sh', '-c', '/dev/crashcart/bin/cat; exit 6'], { input: 'in' }),
    ).toMatchObject({ code: 6, stdout: 'in' });
    using terminal = node.terminal(join(project, 'build/bin/crashcart'), ['-e', 'web']);
    await terminal.expect(/crashcart/);
    terminal.enter('echo "$PPID" "$HOME"; exit 2');
    await terminal.expect(/0 \/\S*\s/);
    expect(await terminal.exit()).toBe(2);
  });
  it('has no way into a bare process', async () => {
    expect(await node.crashcart(['-e', await pidOf('web'), 'true'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/no runtime to run commands through/),
    });
  });
});

describe('run', () => {
  it('starts a container with the toolbox, and gives the image back when told', async () => {
    const started = await node.crashcart([
      'run',
      '--network',
      'none',
      '--rm',
      '--entrypoint',
      '/dev/crashcart/bin/bash',
      'localhost/busybox:1',
      '-c',
      'echo with $BASH',
    ]);
    expect(started).toMatchObject({ code: 0, stdout: 'with /dev/crashcart/bin/bash\n' });
    expect((await node.crashcart(['--print', 'run', '-it', 'a b'])).stdout).toMatch(
      /^docker run --volume \/run\/crashcart\/images\/\S+:\/dev\/crashcart:ro -it 'a b'\n$/,
    );
    expect((await node.crashcart(['ps'])).stdout).toMatch(/\(new containers\)/);
    expect(await node.crashcart(['-u', '-i', 'default'])).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('-i', () => {
  it('takes an image as the original made them, by a loop device that frees itself', async () => {
    const [tree, file] = [join(node.directory, 'tree'), join(node.directory, 'crashcart.img')];
    mkdirSync(join(tree, 'bin'), { recursive: true });
    copyFileSync(
      execFileSync('sh', [
        '-c',
        'command -v busybox || ls ~/.cache/crashcart/cluster/images-*/programs/busybox | head -1',
      ])
        .toString()
        .trim(),
      join(tree, 'bin/busybox'),
    );
    execFileSync('sh', ['-c', `truncate -s 16M "$1" && mkfs.ext3 -q -d "$2" "$1"`, 'sh', file, tree], {
      env: { ...process.env, PATH: `${process.env['PATH']}:/sbin:/usr/sbin` },
    });
    expect(await node.crashcart(['-i', file, 'web', '/dev/crashcart/bin/busybox', 'echo', 'from ext3'])).toMatchObject({
      code: 0,
      stdout: 'from ext3\n',
    });
    await node.crashcart(['-m', '-i', file, 'web']);
    expect(await node.must('cat', ['/proc/mounts'])).toMatch(/\/dev\/loop\d+|\/proc\/self\/fd\/\d+\/loop\d+/);
    expect(await node.crashcart(['-m', 'web'])).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/take it out with -u first/),
    });
    await node.crashcart(['-u', 'web']);
    // The kernel frees the device a moment after its last use.
    await eventually(async () => expect(await node.traces()).toBe(before.node));
  });
  it('says what is missing, and what is no image', async () => {
    expect(await node.crashcart(['-i', 'nope', 'web'])).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/no toolbox image "nope".*name a file with --image/),
    });
    expect(await node.crashcart(['-i', '/etc/passwd', 'web'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/not an erofs, squashfs or ext image/),
    });
  });
});

it('doctor says what works', async () => {
  const { code, stdout } = await node.crashcart(['--json', 'doctor']);
  const { works, findings } = JSON.parse(stdout);
  expect({ code, works }).toEqual({ code: 0, works: true });
  expect(findings).toContainEqual({
    what: 'runtime: docker',
    verdict: 'good',
    detail: expect.stringMatching(/at \/run\/docker.sock, 2 running/),
  });
  expect(findings).toContainEqual({ what: 'crashcart-enter', verdict: 'good', detail: 'runs from sealed memory' });
});
