import { expect, test } from 'vitest';
import { CrashcartError, reasons } from '../base/errors.ts';
import { encodeStatus, errorOfStatus, exitOfStatus, httpCodeOf, statusOfError, statusOfExit } from './status.ts';

const roundTrip = (exit: Parameters<typeof statusOfExit>[0]) => exitOfStatus(encodeStatus(statusOfExit(exit)));

test('a command that ended with 0 is a success', () => {
  expect(statusOfExit({ code: 0, reason: 'Completed' }).status).toBe('Success');
  expect(roundTrip({ code: 0, reason: 'Completed' })).toEqual({ code: 0 });
});

test('an exit code is told in the form that client-go turns into kubectl’s own', () => {
  expect(statusOfExit({ code: 7, reason: 'Completed' })).toEqual({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: 'command terminated with exit code 7',
    details: { causes: [{ reason: 'ExitCode', message: '7' }] },
  });
});

test.each([1, 126, 127, 130, 255])('exit code %d comes back as itself', (code) => {
  expect(roundTrip({ code, reason: 'Completed' })).toEqual({
    code,
    message: `command terminated with exit code ${code}`,
  });
});

test.each([
  reasons.MaxDurationExceeded,
  reasons.IdleTimeout,
  reasons.Killed,
  reasons.Deleted,
  reasons.ContainerExited,
  reasons.AgentRestarted,
])('a session ended by %s is a failure that says so, even when its command managed to exit with 0', (reason) => {
  const outcome = roundTrip({ code: 0, reason });
  expect(outcome).toMatchObject({ code: 137, reason });
  expect(outcome.message).not.toMatch(/exit code/);
  expect(roundTrip({ code: 143, signal: 'SIGTERM', reason })).toMatchObject({ code: 143, reason });
  expect(roundTrip({ code: 143, signal: 'SIGTERM', reason }).message).toContain('(SIGTERM)');
});

test.each([
  ['nothing', ''],
  ['no JSON', '{'],
  ['a list', '[]'],
  [
    'an exit code that is none',
    '{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"-1"}]}}',
  ],
  [
    'an exit code out of range',
    '{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"256"}]}}',
  ],
  ['no details', '{"status":"Failure","reason":"NonZeroExitCode"}'],
  ['details of another type', '{"status":"Failure","reason":"NonZeroExitCode","details":7}'],
])('a status with %s is a failure, never a success', (_title, payload) => {
  expect(exitOfStatus(Buffer.from(payload)).code).toBe(255);
});

test('an error travels as a Status and comes back as itself', () => {
  const error = new CrashcartError(reasons.NoAgent, 'no agent on node-1');
  const status = statusOfError(error);
  expect(status).toMatchObject({ kind: 'Status', status: 'Failure', reason: 'NoAgent', code: 503 });
  expect(errorOfStatus(JSON.parse(JSON.stringify(status)), 503)).toEqual(error);
  expect(errorOfStatus(encodeStatus(status), 503).reason).toBe('NoAgent');
  expect(exitOfStatus(encodeStatus(status))).toEqual({ code: 255, reason: 'NoAgent', message: 'no agent on node-1' });
});

test.each<[number, string]>([
  [401, 'Unauthorized'],
  [403, 'Forbidden'],
  [404, 'NotFound'],
  [502, 'Unavailable'],
  [504, 'Timeout'],
  [418, 'Internal'],
])('HTTP %d of somebody on the way, with a page of HTML, becomes %s', (code, reason) => {
  expect(errorOfStatus('<html>', code)).toMatchObject({
    reason,
    message: `the server answered HTTP ${code} without saying why`,
  });
});

test('every reason has an HTTP code of a refusal', () => {
  for (const reason of Object.values(reasons)) expect(httpCodeOf(reason)).toBeGreaterThanOrEqual(400);
  expect(httpCodeOf(reasons.Forbidden)).toBe(403);
  expect(httpCodeOf(reasons.Timeout)).toBe(504);
});
