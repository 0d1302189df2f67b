import { expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import type { KubeRequest } from './client.ts';
import { createEventRecorder } from './events.ts';
import { KubeError } from './kube-error.ts';

const about = { apiVersion: 'v1', kind: 'Pod', namespace: 'n', name: 'p', uid: 'u' } as const;
const text = { type: 'Warning', reason: 'NoAgent', message: 'no agent' } as const;

function recorder(answer: (request: KubeRequest) => unknown = () => ({})) {
  const requests: KubeRequest[] = [];
  let nowMs = 0;
  const client = {
    request: async (request: KubeRequest): Promise<unknown> => {
      requests.push(request);
      return answer(request);
    },
  };
  const events = createEventRecorder({ client, instance: 'r1', log: silentLogger, now: () => new Date(nowMs) });
  return { events, requests, pass: (ms: number) => (nowMs += ms) };
}

test('the same text on the same object is one write within a minute', async () => {
  const { events, requests, pass } = recorder();
  events.record(about, text);
  events.record(about, text);
  events.record({ ...about, uid: 'u2' }, text);
  pass(59_000);
  events.record(about, text);
  await events.flush();
  expect(requests.length).toBe(2);
  expect(requests[0]?.body).toMatchObject({ involvedObject: about, count: 1, ...text });
});

test('an Event names the other object that it is about', async () => {
  const { events, requests } = recorder();
  const related = { apiVersion: 'crashcart.dev/v1alpha1', kind: 'DebugSession', namespace: 'n', name: 's', uid: 'v' };
  events.record(about, text, related);
  await events.flush();
  expect(requests[0]?.body).toMatchObject({ involvedObject: about, related });
});

test('the same text on a pod about two sessions of one name is two Events', async () => {
  const { events, requests } = recorder();
  const session = { apiVersion: 'crashcart.dev/v1alpha1', kind: 'DebugSession', namespace: 'n', name: 's' } as const;
  for (const uid of ['v', 'w']) events.record(about, text, { ...session, uid });
  await events.flush();
  expect(new Set(requests.map(({ body }) => (body as { metadata: { name: string } }).metadata.name)).size).toBe(2);
});

test('what was written is told, and what was not is not', async () => {
  let isDown = true;
  const { events } = recorder(() => {
    if (isDown) throw new KubeError(503, 'ServiceUnavailable', 'later');
    return {};
  });
  const written: string[] = [];
  events.record(about, text, undefined, () => written.push('first'));
  await events.flush();
  isDown = false;
  events.record({ ...about, uid: 'u2' }, text, undefined, () => written.push('second'));
  await events.flush();
  expect(written).toEqual(['second']);
});

test('a repetition counts up the Event that is there, also one of a leader before', async () => {
  const { events, requests } = recorder(({ method }) => {
    if (method === 'POST') throw new KubeError(409, 'AlreadyExists', 'there');
    return {};
  });
  events.record(about, text);
  await events.flush();
  expect(requests.map(({ method }) => method)).toEqual(['POST', 'PATCH']);
  expect(requests[1]?.body).toMatchObject({ count: 2 });
});

test('an API server that refuses Events disturbs nobody', async () => {
  const { events } = recorder(() => {
    throw new KubeError(403, 'Forbidden', 'no');
  });
  events.record(about, { ...text, message: 'x'.repeat(5_000) });
  await expect(events.flush()).resolves.toBeUndefined();
});
