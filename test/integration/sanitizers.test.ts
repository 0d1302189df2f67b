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
import { sealProgram } from '../../src/linux/descriptors.ts';
import { closeAll, loadKernel } from '../../src/linux/kernel.ts';
import { openDevpts } from '../../src/linux/terminal.ts';
import { descriptorNames, encodeRequest } from '../../src/node-agent/session/entry-request.ts';

// crashcart-enter under the address and undefined behaviour sanitizers, with requests and descriptors of every kind; clean for gcc's analyzer too.
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
  open('/proc', 'r');
});
afterAll(() => {
  for (const fd of pool) closeSync(fd);
  rmSync(directory, { recursive: true, force: true });
});

const place = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 3, max: 16 }) },
  fc.constantFrom(-1, -(2 ** 31), 2 ** 31 - 1, 65_536, 0, 1),
);
const id = fc.oneof(fc.constantFrom(0, 1, 1000, 65_534, 2 ** 32 - 1), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
const mask = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const word = fc.string({ maxLength: 40 }).map((text) => text.replaceAll('\0', ''));
const long = fc.integer({ min: 1000, max: 4095 }).map((length) => 'x'.repeat(length));
const text = fc.oneof(word, long);
const limit = fc.record({ resource: fc.integer({ min: 0, max: 2 ** 31 }), soft: mask, hard: mask });

const one = <T>(name: string, value: fc.Arbitrary<T>) => value.map((each) => ({ [name]: each }));
const descriptor = fc.constantFrom(...descriptorNames).chain((name) => one(name, place));
const list = fc.oneof(
  one('joins', fc.array(place, { maxLength: 16 })),
  one('homes', fc.array(place, { maxLength: 16 })),
  one('filters', fc.array(place, { maxLength: 2 })),
);
const value = fc.oneof(
  fc.constantFrom('uid', 'gid').chain((name) => one(name, id)),
  fc.constantFrom('userns', 'tty', 'nonewprivs', 'created', 'createddev').map((name) => ({ [name]: true })),
  fc.constantFrom('bounding', 'permitted', 'ambient', 'namespaces').chain((name) => one(name, mask)),
  mask.map((device) => ({ device: device.toString(16) })),
  one('groups', fc.array(id, { maxLength: 256 })),
  one('rlimits', fc.array(limit, { maxLength: 16 })),
  one('cwd', text),
  one('label', text),
  // Nothing that would lead a write of the real root out of /proc/self/attr.
  one('labelfile', fc.constantFrom('self/attr/current', 'nonsense', '')),
);
/** Bytes before the texts that are other ones than the agent writes. */
const bytesBeforeTexts = encodeRequest({ descriptors: {}, values: {} }).length - (4096 + 4096 + 60);
const spoilt = fc.record({
  at: fc.integer({ min: 0, max: bytesBeforeTexts - 8 }),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
});
/** A request that is too short. */
const cut = fc.integer({ min: 0, max: 10_000 });
const command = fc.oneof(
  fc.constantFrom(['/bin/true'], ['true'], ['/'], ['']),
  fc.tuple(fc.oneof(word, long).map((name) => name.replaceAll('/', ''))),
);
const request = fc.record({
  verb: fc.oneof({ weight: 5, arbitrary: fc.constant('run') }, fc.constantFrom('place', 'remove', '', 'other')),
  // All that a run needs, in places where such a thing is, and then whatever comes.
  whole: fc.boolean(),
  descriptors: fc.array(descriptor, { maxLength: 3 }),
  lists: fc.array(list, { maxLength: 1 }),
  values: fc.array(value, { maxLength: 3 }),
  spoilt: fc.option(spoilt, { freq: 3 }),
  cut: fc.option(cut, { freq: 9 }),
  command: fc.option(command, { freq: 5 }),
  inherited: fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 13 }),
});
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

/** All that a run needs, at the places where `pool` puts such a thing; the devpts is new each time. */
const usual = { ring: 4, wake: 9, poke: 9, gate: 10, output: 9, errors: 9, proc: 13, devpts: 14 };
const usualValues = { labelfile: 'self/attr/current' };

function encode({ whole, descriptors, lists, values, spoilt: other, cut: length }: Request): Buffer {
  const bytes = encodeRequest({
    descriptors: Object.assign({}, whole ? usual : {}, ...descriptors),
    ...(whole ? { filters: [5] } : {}),
    ...Object.assign({}, ...lists),
    values: Object.assign({}, whole ? usualValues : {}, ...values),
  });
  if (other) bytes.set(other.bytes, other.at);
  return length === null ? bytes : bytes.subarray(0, length);
}

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

function judge(request: Request): void {
  const { verb, whole, command: asked, inherited } = request;
  const devpts = openDevpts(kernel, 5);
  // Memory is new for each session.
  ftruncateSync(pool[0]!, 0);
  ftruncateSync(pool[0]!, 2 << 20);
  const told = sealProgram(kernel, encode(request), 'request');
  const given = [...(whole ? [...pool, devpts] : inherited.map((at) => pool[at]!)), told];
  const stdio: StdioOptions = ['ignore', 'ignore', 'ignore', 'pipe', ...given];
  const options = `log_path=${logs}/report:exitcode=99:detect_leaks=0:halt_on_error=1`;
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ASAN_OPTIONS: options, UBSAN_OPTIONS: options };
  const { status, signal, error, output } = spawnSync(
    'unshare',
    [...alone, verb, `${3 + given.length}`, ...(asked ?? [])],
    {
      stdio,
      env,
      timeout: 1_500,
      killSignal: 'SIGKILL',
    },
  );
  closeAll(kernel, devpts, told);
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
