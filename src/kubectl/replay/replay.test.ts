import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiDouble } from '../../../test/support/api-double.ts';
import { runPlugin } from '../../../test/support/plugin-process.ts';
import { encodeEvent, encodeHeader } from '../../wire/asciicast.ts';

// Each starts the program, some of them twice: seconds on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

let api: ApiDouble;
let directory: string;

beforeEach(async () => {
  api = await ApiDouble.start();
  directory = mkdtempSync(join(tmpdir(), 'crashcart-replay-'));
});

afterEach(async () => {
  await api.close();
  rmSync(directory, { recursive: true });
});

const header = encodeHeader({
  version: 2,
  width: 80,
  height: 24,
  timestamp: 1_800_000_000,
  crashcart: {
    namespace: 'shop',
    session: 'web-0-x1',
    uid: 'u',
    pod: 'web-0',
    podUid: 'p',
    container: 'web',
    profile: 'general',
    tty: true,
    user: 'alice\u001b]0;evil\u0007',
  },
});

/** The session with this recording, as a cluster would have it. */
function offer(recording: string, over: object = {}): Buffer {
  const bytes = Buffer.from(recording);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  api.recordings.set('shop/web-0-x1', bytes);
  api.sessions.set('shop/web-0-x1', {
    metadata: { name: 'web-0-x1', namespace: 'shop', uid: 'u', creationTimestamp: '2027-01-01T00:00:00Z' },
    spec: { tty: true, stdin: true },
    status: { recording: { state: 'Complete', location: 'node:n', bytes: bytes.length, sha256, ...over } },
  });
  return bytes;
}

const replay = (...more: string[]) => runPlugin(api, ['replay', 'web-0-x1', '-n', 'shop', ...more]);

test('into a pipe it comes at once, filtered, and only what was shown', async () => {
  offer(
    header +
      encodeEvent(0, 'm', 'attached: bob') +
      encodeEvent(10, 'o', 'one \u001b]52;c;cm0=\u0007\u001b[1mtwo\u001b[0m') +
      encodeEvent(3_600_000, 'o', ' \u001b[6nthree\r\n') +
      encodeEvent(3_600_001, 'p', '20'),
  );
  const { code, stdout, stderr } = await replay();
  expect(code).toBe(0);
  expect(stdout.toString()).toBe('one \u001b[1mtwo\u001b[0m three\r\n');
  expect(stderr).toContain('session shop/web-0-x1 by alice');
  expect(stderr).not.toContain('\u001b]0');
  expect((await replay('--raw')).stdout.toString()).toContain('\u001b]52;c;cm0=\u0007');
});

test('standard error of a command without a terminal goes to standard error', async () => {
  offer(header + encodeEvent(0, 'o', 'out') + encodeEvent(1, 'e', '2') + encodeEvent(1, 'o', 'err'));
  const { stdout, stderr } = await replay();
  expect(stdout.toString()).toBe('out');
  expect(stderr).toContain('err');
});

test('markers are a list, safe to print', async () => {
  offer(header + encodeEvent(3_661_000, 'm', 'attached: bob\u001b[2J') + encodeEvent(3_662_000, 'o', 'x'));
  expect((await replay('--markers')).stdout.toString()).toBe('1:01:01  attached: bob\\u001b[2J\n');
});

test('a file is the recording as it is, in parts, and never over another one', async () => {
  const bytes = offer(header + encodeEvent(0, 'o', 'x'.repeat(200_000)).repeat(45));
  const path = join(directory, 'x.cast');
  expect(await replay('-o', path)).toMatchObject({ code: 0 });
  expect(readFileSync(path).equals(bytes)).toBe(true);
  expect(api.requests.filter(({ url }) => url.includes('/recording?')).length).toBeGreaterThan(2);
  const again = await replay('-o', path);
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('there is such a file already') });
});

test('what is not what the node recorded is said, with exit code 1', async () => {
  offer(header + encodeEvent(0, 'o', 'x'), { sha256: '0'.repeat(64) });
  expect(await replay()).toMatchObject({ code: 1, stderr: expect.stringContaining('not what the node recorded') });
});

test('one that is not complete, or still being written, says so; half a line is left out', async () => {
  offer(header + encodeEvent(0, 'o', 'x'), { state: 'Incomplete', message: 'the disk was full' });
  expect((await replay()).stderr).toContain('not complete: the disk was full');
  offer(`${header}${encodeEvent(0, 'o', 'x')}[1.0, "o", "ha`, { state: 'Recording', sha256: undefined });
  expect(await replay()).toMatchObject({ code: 0, stderr: expect.stringContaining('still being recorded') });
});

test.each([
  ['no JSON', 'nothing\n', 'not JSON'],
  ['another version', header.replace('"version":2', '"version":3'), 'not asciicast v2'],
  ['an event that is none', `${header}[1, 2]\n`, 'not [time, code, data]'],
  ['an empty file', '', 'empty so far'],
])('%s is one clear error', async (_, recording, message) => {
  offer(recording);
  expect(await replay()).toMatchObject({ code: 1, stderr: expect.stringContaining(message) });
});

test.each([
  [['--speed', 'fast'], '--speed is a number'],
  [['--max-idle', '2'], '--max-idle is a time'],
])('%j is refused', async (flags, message) => {
  expect(await replay(...flags)).toMatchObject({ code: 1, stderr: expect.stringContaining(message) });
});
