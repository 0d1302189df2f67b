import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseDebugProfile } from './debug-profile.ts';
import { shippedProfiles } from './profile-rules.ts';

const profile = (spec: unknown) => ({ metadata: { name: 'p', generation: 2 }, spec });
const files = join(import.meta.dirname, '../../charts/crashcart/files');

test('the chart ships the profiles that the agents know, with the same rules', () => {
  const shipped = parse(readFileSync(join(files, 'profiles.yaml'), 'utf8')) as Record<string, unknown>;
  const rules = Object.entries(shipped).map(([name, spec]) => [name, parseDebugProfile(profile(spec)).rules]);
  expect(Object.fromEntries(rules)).toEqual(shippedProfiles);
});

test('a profile that says nothing gives what the container has, with the limits of the shipped ones', () => {
  expect(parseDebugProfile(profile({}))).toEqual({
    name: 'p',
    generation: 2,
    rules: shippedProfiles.baseline,
    bounds: {
      visibilities: ['Session', 'Container'],
      maxDuration: '24h',
      idleTimeout: '24h',
      detachGrace: '24h',
      recording: 'None',
      recordingFailure: 'End',
      requireReason: false,
    },
  });
});

test.each<[unknown, unknown, object]>([
  ['512Mi', '500m', { memoryBytes: 512 * 2 ** 20, cpus: 0.5 }],
  ['1G', 2, { memoryBytes: 1e9, cpus: 2 }],
  [33_554_432, '1.5', { memoryBytes: 33_554_432, cpus: 1.5 }],
  ['1e9', '2', { memoryBytes: 1e9, cpus: 2 }],
])('limits of %j and %j are quantities; what is left out is no limit', (memory, cpu, limits) => {
  expect(parseDebugProfile(profile({ limits: { memory, cpu } })).rules.limits).toEqual(limits);
});

test.each<[string, unknown]>([
  ['spec.limits.memory', { limits: { memory: 'lots' } }],
  ['spec.limits.cpu', { limits: { cpu: '-1' } }],
  ['spec.limits.pids', { limits: { pids: '12' } }],
  ['spec.seccomp', { seccomp: 'Unconfined' }],
  ['spec.recording', { recording: 'Commands' }],
  ['spec.recordingFailure', { recordingFailure: 'Ignore' }],
  ['spec.capabilities.add[0]', { capabilities: { add: [1] } }],
])('an error names the place: %s', (path, spec) => {
  expect(() => parseDebugProfile(profile(spec))).toThrow(expect.objectContaining({ name: 'ParseError', path }));
});
