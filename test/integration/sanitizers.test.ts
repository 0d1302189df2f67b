import { execFileSync, type StdioOptions, spawnSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { closeAll, loadKernel } from '../../src/linux/kernel.ts';
import { openDevpts } from '../../src/linux/terminal.ts';

// crashcart-enter under the address and undefined behaviour sanitizers, with arguments and descriptors of every kind; clean for gcc's analyzer too.
const runs = Number(process.env['FUZZ_RUNS'] ?? 300);
const native = join(import.meta.dirname, '../../native');
const built = join(import.meta.dirname, '../../build/test/sanitized');
const program = join(built, 'crashcart-enter');

const kernel = loadKernel();
let directory: string;
let logs: string;
const pool: number[] = [];
beforeAll(() => {
  execFileSync('make', ['-s', '-C', native, `OUT=${built}`, 'sanitized'], { stdio: ['ignore', 'ignore', 'inherit'] });
  directory = mkdtempSync(join(tmpdir(), 'crashcart-sanitized-'));
  logs = join(directory, 'logs');
  for (const name of ['logs', 'empty', 'group']) mkdirSync(join(directory, name));
  writeFileSync(join(directory, 'group/tasks'), '');
  writeFileSync(join(directory, 'allow'), Buffer.from('060000000000ff7f', 'hex')); // lets every call through
  writeFileSync(join(directory, 'bytes'), Buffer.alloc(5000, 0xa5));
  writeFileSync(join(directory, 'ring'), '');
  const open = (path: string, flags: string): void => void pool.push(openSync(path, flags));
  open(join(directory, 'ring'), 'r+');
  open(join(directory, 'allow'), 'r');
  open(join(directory, 'bytes'), 'r+');
  open(join(directory, 'group'), 'r');
  open(join(directory, 'empty'), 'r');
  open('/dev/null', 'r+');
  open('/dev/zero', 'r+');
  open('/proc/self/ns/mnt', 'r');
  open('/proc/self/ns/cgroup', 'r');
});
afterAll(() => {
  for (const fd of pool) closeSync(fd);
  rmSync(directory, { recursive: true, force: true });
});

const number = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 3, max: 16 }).map(String) },
  fc.constantFrom(
    '',
    '-1',
    '0',
    '1',
    '65536',
    '2147483648',
    '-9223372036854775808',
    '18446744073709551616',
    '1e3',
    '0x',
    ' 7',
    '7 ',
  ),
  fc.bigInt().map(String),
);
const mask = fc.oneof(
  number,
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((value) => value.toString(16)),
);
const list = fc.array(number, { maxLength: 300 }).map((each) => each.join(','));
const limit = fc.tuple(fc.integer({ min: 0, max: 16 }), number, number).map((each) => each.join(':'));
const word = fc.string({ maxLength: 40 }).map((text) => text.replaceAll('\0', ''));
const long = fc.integer({ min: 1000, max: 70_000 }).map((length) => 'x'.repeat(length));

const descriptors = [
  'gate',
  'pidfd',
  'toolbox',
  'devpts',
  'ring',
  'wake',
  'poke',
  'master',
  'output',
  'errors',
  'input',
  'cgroup',
  'hostcgroup',
  'home',
  'waker',
  'poker',
];
const field = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constantFrom(...descriptors, 'status'), number) },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.constantFrom('uid', 'gid', 'userns', 'tty', 'nonewprivs', 'created', 'createddev'), number),
  },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom('bounding', 'permitted', 'ambient', 'device', 'namespaces'), mask) },
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom('groups', 'joins', 'filters', 'homes'), list) },
  fc.tuple(
    fc.constant('rlimits'),
    fc.array(limit, { maxLength: 20 }).map((each) => each.join(',')),
  ),
  fc.tuple(fc.constant('cwd'), fc.oneof(word, long)),
  // Nothing that would lead a write of the real root out of /proc/self/attr.
  fc.tuple(fc.constantFrom('label'), fc.oneof(word, long)),
  fc.tuple(fc.constant('labelfile'), fc.constantFrom('self/attr/current', 'nonsense', '')),
  fc.tuple(
    word.filter((name) => !name.startsWith('labelfile')),
    word,
  ),
);
const command = fc.oneof(
  fc.constantFrom(['/bin/true'], ['true'], ['/'], ['']),
  fc.tuple(fc.oneof(word, long).map((name) => name.replaceAll('/', ''))),
);
const request = fc.record({
  verb: fc.oneof({ weight: 5, arbitrary: fc.constant('run') }, fc.constantFrom('place', 'remove', '', 'other')),
  // All that a run needs, in places where such a thing is, and then whatever comes.
  whole: fc.boolean(),
  fields: fc.array(
    field.map(([name, value]) => `${name}=${value}`),
    { maxLength: 5 },
  ),
  bare: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, word),
  command: fc.option(command, { freq: 5 }),
  inherited: fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 13 }),
});
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

/** All that a run needs, at the places where `pool` puts such a thing; the devpts is new each time. */
const usual =
  'status=3 ring=4 wake=9 poke=9 gate=10 output=9 errors=9 filters=5 devpts=13 labelfile=self/attr/current'.split(' ');

/** As root, but with mounts, processes and a /dev that are nobody else's, and no program to be found by a name. */
const setting = 'mount -t tmpfs t /dev && PATH=/nowhere && exec "$@"';
const alone = [
  '--mount',
  '--pid',
  '--fork',
  '--kill-child',
  '--propagation',
  'private',
  'sh',
  '-c',
  setting,
  'sh',
  program,
];

function judge({ verb, whole, fields, bare, command: asked, inherited }: Request): void {
  const args = [verb, ...(whole ? usual : ['status=3']), ...fields, ...(bare === null ? [] : [bare])];
  const devpts = openDevpts(kernel, 5);
  // Memory is new for each session.
  ftruncateSync(pool[0]!, 0);
  ftruncateSync(pool[0]!, 2 << 20);
  const given = whole ? [...pool, devpts] : inherited.map((at) => pool[at]!);
  const stdio: StdioOptions = ['ignore', 'ignore', 'ignore', 'pipe', ...given];
  const options = `log_path=${logs}/report:exitcode=99:detect_leaks=0:halt_on_error=1`;
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ASAN_OPTIONS: options, UBSAN_OPTIONS: options };
  const { status, signal, error, output } = spawnSync(
    'unshare',
    [...alone, ...args, ...(asked ? ['--', ...asked] : [])],
    {
      stdio,
      env,
      timeout: 1_500,
      killSignal: 'SIGKILL',
    },
  );
  closeAll(kernel, devpts);
  if (error && !('code' in error && error.code === 'ETIMEDOUT')) throw error;
  const reports = readdirSync(logs).map((name) => readFileSync(join(logs, name), 'utf8'));
  for (const name of readdirSync(logs)) rmSync(join(logs, name));
  const crashed = status === 99 || ['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE'].includes(signal ?? '');
  expect({ reports, crashed }).toEqual({ reports: [], crashed: false });
  const said = String(output?.[3] ?? '');
  for (const line of said.split('\n').slice(0, -1))
    steps.add(
      line
        .split(' ')
        .slice(0, line.startsWith('error') ? 2 : 1)
        .join(' '),
    );
}

const steps = new Set<string>();

it(
  `does nothing undefined, whatever it is told (${runs} times)`,
  () => {
    fc.assert(fc.property(request, judge), {
      numRuns: runs,
      ...(process.env['FUZZ_SEED'] ? { seed: Number(process.env['FUZZ_SEED']) } : {}),
    });
    // It came further than to its arguments: to mounts, ids, filters, and to a command that ran.
    expect([...steps]).toEqual(expect.arrayContaining(['error arguments', 'started']));
  },
  60_000 + runs * 400,
);
