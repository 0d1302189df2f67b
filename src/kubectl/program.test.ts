import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiDouble } from '../../test/support/api-double.ts';
import { eventually } from '../../test/support/eventually.ts';
import { plugin, runPlugin, startPlugin } from '../../test/support/plugin-process.ts';
import { ScriptedShell } from '../../test/support/scripted-shell.ts';
import { Terminal } from '../../test/support/terminal.ts';
import { channels, encodeMessage } from '../wire/channel.ts';

// The real program, as a process, in a real terminal where it matters, against a double of the API server.
// Each test starts processes, on a machine that may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

let api: ApiDouble;
let directory: string;
/** The far end of the last attach. */
let shell: ScriptedShell | undefined;

beforeEach(async () => {
  api = await ApiDouble.start();
  directory = mkdtempSync(join(tmpdir(), 'crashcart-plugin-'));
  shell = undefined;
  api.attached = (socket) => {
    shell = new ScriptedShell(socket);
    shell.out('prompt$ ');
  };
});

afterEach(async () => {
  await api.close();
  rmSync(directory, { recursive: true });
});

/** Runs it under a shell that records the terminal's settings before and after. */
function inTerminal(args: string): Terminal {
  const [node, main] = plugin;
  const script = `trap : INT; stty -a >before; '${node}' '${main}' ${args}; echo "code=$?"; stty -a >after; echo done`;
  return new Terminal('/bin/sh', ['-c', `cd '${directory}'; ${script}`], {
    env: { KUBECONFIG: api.kubeconfig, NO_COLOR: '1' },
    cols: 91,
    rows: 17,
  });
}

function expectRestored(): void {
  expect(readFileSync(join(directory, 'after'), 'utf8')).toBe(readFileSync(join(directory, 'before'), 'utf8'));
}

/** The program's own pid: the shell's only child. */
const pidIn = ({ pid }: Terminal): number => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());

async function prompt(terminal: Terminal): Promise<ScriptedShell> {
  await terminal.expect(/prompt\$ /);
  return eventually(() => {
    if (!shell?.sizes.length) throw new Error('not attached');
    return shell;
  });
}

test('a shell gets the size of the terminal, every key and later sizes, and its exit code is ours', async () => {
  using terminal = inTerminal('pod/web-0 -c app');
  const far = await prompt(terminal);
  expect(far.sizes[0]).toEqual({ width: 91, height: 17 });
  expect(api.only.spec).toEqual({ target: { pod: { name: 'web-0', container: 'app' } }, tty: true, stdin: true });
  far.onInput = (all) => far.out(all.endsWith('\x03') ? '^C seen' : `[${all}]`);
  terminal.type('a');
  await terminal.expect(/\[a\]/);
  terminal.resize(120, 40);
  await eventually(() => expect(far.sizes.at(-1)).toEqual({ width: 120, height: 40 }));
  terminal.resize(91, 17);
  terminal.type('\x03');
  await terminal.expect(/\^C seen/);
  far.exit(7);
  await terminal.expect(/code=7/);
  await terminal.expect(/done/);
  expectRestored();
  expect(api.deleted).toEqual([]);
});

test.each([
  ['SIGTERM', 143],
  ['SIGHUP', 129],
  ['SIGINT', 130],
  ['SIGQUIT', 131],
] as const)('%s detaches from a shell, gives the terminal back and says how to return', async (signal, code) => {
  using terminal = inTerminal('web-0');
  await prompt(terminal);
  process.kill(pidIn(terminal), signal);
  await terminal.expect(/detached; the session still runs: kubectl crashcart attach web-0-\w{5} -n shop/);
  await terminal.expect(new RegExp(`code=${code}`));
  await terminal.expect(/done/);
  expectRestored();
  expect(api.deleted).toEqual([]);
});

test('a terminal that was left on its second screen by a cut connection is brought back', async () => {
  using terminal = inTerminal('web-0');
  const far = await prompt(terminal);
  far.out('\x1b[?1049h\x1b[?25lvim');
  await terminal.expect(/vim/);
  far.cut();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the sequences in question
  await terminal.expect(/\x1b\[\?1049l\x1b\[\?25h/);
  await terminal.expect(/error: connection lost; the session still runs: kubectl crashcart attach web-0-\w{5} -n shop/);
  await terminal.expect(/code=1/);
  await terminal.expect(/done/);
  expectRestored();
});

test('a stop and a continue from outside give the terminal back in between', async () => {
  using terminal = inTerminal('web-0');
  const far = await prompt(terminal);
  const sizes = far.sizes.length;
  const pid = pidIn(terminal);
  process.kill(pid, 'SIGTSTP');
  await eventually(() => expect(readFileSync(`/proc/${pid}/stat`, 'utf8')).toMatch(/\) T /));
  process.kill(pid, 'SIGCONT');
  await eventually(() => expect(far.sizes.length).toBeGreaterThan(sizes));
  far.exit(0);
  await terminal.expect(/code=0/);
  await terminal.expect(/done/);
  expectRestored();
});

test('a wait is explained in one line that is gone when the prompt comes', async () => {
  api.attachDelayMs = 1_500;
  using terminal = inTerminal('web-0');
  await terminal.expect(/crashcart: web-0-\w{5} waits for pod web-0/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: this is the sequence in question
  await terminal.expect(/\r\x1b\[2K/);
  const far = await prompt(terminal);
  far.exit(0);
  await terminal.expect(/code=0/);
});

test('Ctrl-C while a shell is prepared ends its session', async () => {
  api.attachDelayMs = 5_000;
  using terminal = inTerminal('web-0');
  await terminal.expect(/waits for pod/);
  terminal.type('\x03');
  await terminal.expect(/code=130/);
  expect(api.deleted).toHaveLength(1);
});

test('a command keeps standard output and error apart, byte by byte', async () => {
  const bytes = randomBytes(1_000_000);
  api.attached = (socket) => {
    shell = new ScriptedShell(socket);
    for (let at = 0; at < bytes.length; at += 32_768) shell.out(bytes.subarray(at, at + 32_768));
    shell.err('a warning\n');
    shell.exit(3);
  };
  const { code, stdout, stderr } = await runPlugin(api, ['web-0', '--', 'cat', '/dev/urandom']);
  expect(stdout.equals(bytes)).toBe(true);
  expect(stderr).toBe('a warning\n');
  expect(code).toBe(3);
  expect(api.only.spec).toMatchObject({ tty: false, stdin: false, command: ['cat', '/dev/urandom'] });
});

test('a megabyte of piped input arrives whole and its end is told', async () => {
  const bytes = randomBytes(1_048_576);
  api.attached = (socket) => {
    const far = new ScriptedShell(socket);
    far.onEnd = () => {
      far.out(createHash('sha256').update(Buffer.concat(far.input)).digest('hex'));
      far.exit(0);
    };
  };
  const { code, stdout } = await runPlugin(api, ['web-0', '--', 'sha256sum'], bytes);
  expect(stdout.toString()).toBe(createHash('sha256').update(bytes).digest('hex'));
  expect(code).toBe(0);
});

test('a cut stream takes the exit code that the object knows', async () => {
  api.attached = (socket, session) => {
    session.status = { phase: 'Finished', exit: { code: 4, reason: 'Completed', at: '2026-01-01T00:00:00Z' } };
    new ScriptedShell(socket).cut();
  };
  const { code, stderr } = await runPlugin(api, ['web-0', '--', 'make']);
  expect(stderr).toBe('connection lost; some of the last output may be missing\n');
  expect(code).toBe(4);
});

test('a cut stream of a command that may still run is exit 1 and names the way back', async () => {
  api.attached = (socket) => new ScriptedShell(socket).cut();
  const { code, stderr } = await runPlugin(api, ['web-0', '--', 'make']);
  expect(stderr).toMatch(
    /^error: connection lost; the session still runs: kubectl crashcart attach web-0-\w{5} -n shop\n$/,
  );
  expect(code).toBe(1);
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends a command without a terminal, with its session', async (signal, exitCode) => {
  const { child, exited } = startPlugin(api, ['web-0', '--', 'sleep', '1000']);
  await eventually(() => expect(shell).toBeDefined());
  child.kill(signal);
  expect(await exited).toBe(exitCode);
  expect(api.deleted).toHaveLength(1);
});

test('a reader that goes away ends the command', async () => {
  api.attached = (socket) => {
    shell = new ScriptedShell(socket);
    const timer = setInterval(() => shell?.out('y\n'.repeat(10_000)), 20);
    socket.once('close', () => clearInterval(timer));
  };
  const { child, exited } = startPlugin(api, ['web-0', '--', 'yes']);
  child.stdout?.once('data', () => child.stdout?.destroy());
  expect(await exited).toBe(141);
  expect(api.deleted).toHaveLength(1);
});

test('a reader that is slow holds the server back instead of filling our memory', async () => {
  let buffered = 0;
  api.attached = (socket) => {
    const far = new ScriptedShell(socket);
    for (let count = 0; count < 2_000; count++) far.out(Buffer.alloc(32_768));
    setTimeout(() => {
      buffered = socket.bufferedAmount;
    }, 1_500);
    far.exit(0);
  };
  const { child, exited } = startPlugin(api, ['web-0', '--', 'cat', 'big']);
  await eventually(() => expect(buffered).toBeGreaterThan(30_000_000));
  const bytes = await buffer(child.stdout!);
  expect(bytes.length).toBe(2_000 * 32_768);
  expect(await exited).toBe(0);
});

test('a session that failed is told in its own words, and its record stays', async () => {
  const message = 'pod "web-9" does not exist in namespace "shop": see "kubectl get pods -n shop"';
  api.refuseAttach = () => {
    api.only.status = {
      phase: 'Failed',
      conditions: [{ type: 'Ready', status: 'False', reason: 'PodNotFound', message }],
    };
    return { code: 404, status: { kind: 'Status', status: 'Failure', reason: 'PodNotFound', message, code: 404 } };
  };
  const { code, stderr } = await runPlugin(api, ['web-9', '--', 'true']);
  const { name } = api.only.metadata;
  expect(stderr).toBe(`error: ${message} (recorded in session "${name}")\n`);
  expect(code).toBe(1);
});

test('a session that cannot be reached is not left behind', async () => {
  api.refuseAttach = () => ({
    code: 403,
    status: {
      kind: 'Status',
      status: 'Failure',
      reason: 'Forbidden',
      message: 'user may not create pods/exec on web-0',
      code: 403,
    },
  });
  const { code, stderr } = await runPlugin(api, ['web-0', '--', 'true']);
  expect(stderr).toMatch(/^error: .*user may not create pods\/exec on web-0.*\n$/);
  expect(code).toBe(1);
  expect(api.sessions.size).toBe(0);
});

test('an attach service that restarts is waited for', async () => {
  let refusals = 2;
  api.refuseAttach = () =>
    refusals-- > 0
      ? {
          code: 503,
          status: { kind: 'Status', status: 'Failure', reason: 'ServiceUnavailable', message: 'busy', code: 503 },
        }
      : undefined;
  api.attached = (socket) => new ScriptedShell(socket).exit(0);
  expect((await runPlugin(api, ['web-0', '--', 'true'])).code).toBe(0);
});

test('what the end of a session was due to is said, and --rm removes the record', async () => {
  api.attached = (socket) => new ScriptedShell(socket).exit(0, 'MaxDurationExceeded');
  const { code, stderr } = await runPlugin(api, ['web-0', '--rm', '--', 'sleep', '1000']);
  expect(stderr).toMatch(/maxDuration/);
  expect(code).toBe(137);
  expect(api.deleted).toHaveLength(1);
});

test('the create and the attach share one connection, and say who asks', async () => {
  api.attached = (socket) => new ScriptedShell(socket).exit(0);
  await runPlugin(api, ['web-0', '--as', 'jane', '--as-group', 'a, b', '--', 'true']);
  expect(api.connections).toBe(1);
  const [create, attach] = api.requests;
  expect(create?.headers).toMatchObject({ authorization: 'Bearer secret-token', 'impersonate-user': 'jane' });
  expect(attach?.headers).toMatchObject({ authorization: 'Bearer secret-token', 'impersonate-group': 'a, b' });
  expect(attach?.url).toMatch(
    /\/attach\?stdin=false&stdout=true&stderr=true&tty=false&resume=tail&client=[0-9a-f]{16}$/,
  );
});

test('a server that only knows v4 serves too', async () => {
  api.protocols = ['v4.channel.k8s.io'];
  api.attached = (socket) => new ScriptedShell(socket).exit(5);
  expect((await runPlugin(api, ['web-0', '--', 'true'])).code).toBe(5);
});

test('a connection that is cut comes back by itself: no byte twice, none lost, input once', async () => {
  const typed: string[] = [];
  const asked: string[] = [];
  let connections = 0;
  api.attached = (socket, _session, query) => {
    connections += 1;
    asked.push(query.get('resume') ?? '');
    const say = (resumption: object): void =>
      socket.send(encodeMessage(channels.resume, Buffer.from(JSON.stringify(resumption))));
    const far = new ScriptedShell(socket);
    far.onInput = (all) => {
      typed.push(`${connections}:${all.trim()}`);
      // The first connection breaks with the input taken by nobody.
      if (connections === 1) far.cut();
      else far.exit(3);
    };
    if (connections === 1) {
      say({ position: 0, input: 0 });
      far.out('one ');
    } else {
      say({ position: 4, input: 0 });
      far.out('two\n');
    }
  };
  const { child, exited } = startPlugin(api, ['web-0', '-i', '--', 'cat'], 'pipe');
  const [stdout, stderr] = [buffer(child.stdout!), buffer(child.stderr!)];
  child.stdout?.once('data', () => child.stdin?.write('hello\n'));
  expect(await exited).toBe(3);
  expect((await stdout).toString()).toBe('one two\n');
  expect(typed).toEqual(['1:hello', '2:hello']);
  expect(asked).toEqual(['tail', '4']);
  expect((await stderr).toString()).toMatch(/connection lost, coming back\n.*connected again\n$/s);
});

test('what is typed after the connection came back arrives, though nothing was left to send again', async () => {
  const typed: string[] = [];
  let connections = 0;
  api.attached = (socket) => {
    connections += 1;
    const say = (resumption: object): void =>
      socket.send(encodeMessage(channels.resume, Buffer.from(JSON.stringify(resumption))));
    const far = new ScriptedShell(socket);
    const second = connections === 2;
    far.onInput = (all) => {
      typed.push(`${second ? 2 : 1}:${all.trim()}`);
      if (second) far.exit(3);
      else {
        say({ input: 6 });
        far.cut();
      }
    };
    say(second ? { position: 4, input: 6 } : { position: 0, input: 0 });
    far.out(second ? 'two\n' : 'one ');
  };
  const { child, exited } = startPlugin(api, ['web-0', '-i', '--', 'cat'], 'pipe');
  child.stdout?.on('data', (chunk: Buffer) => {
    if (chunk.includes('one')) child.stdin?.write('hello\n');
    if (chunk.includes('two')) child.stdin?.write('again\n');
  });
  expect(await exited).toBe(3);
  expect(typed).toEqual(['1:hello', '2:again']);
});
