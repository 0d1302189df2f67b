import { EventEmitter } from 'node:events';
import { Writable } from 'node:stream';
import fc from 'fast-check';
import { expect } from 'vitest';
import type { WebSocket } from 'ws';
import { shippedProfiles } from '../../src/api/profile-rules.ts';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { forwardInput } from '../../src/gateway/client-socket.ts';
import { limits } from '../../src/wire/agent-protocol.ts';
import { parseEvent, parseHeader } from '../../src/wire/asciicast.ts';
import { channels, decodeMessage, encodeMessage, parseResize } from '../../src/wire/channel.ts';
import { parseDesiredSession } from '../../src/wire/desired-session.ts';
import { encodeFrame, FrameDecoder } from '../../src/wire/frames.ts';
import {
  parseIdentity,
  parseObservedSession,
  parseSessionEvent,
  parseStoredRecordings,
} from '../../src/wire/observed-session.ts';
import { errorOfRefusal } from '../../src/wire/refusal.ts';
import { encodeStatus, errorOfStatus, exitOfStatus, statusOfExit } from '../../src/wire/status.ts';
import { chunked, fuzz, spoiled } from './fuzz.ts';

/** Anything but a clear refusal is a crash. */
function orInvalid<T>(parse: () => T, judge: (value: T) => void = () => undefined): void {
  let value: T;
  try {
    value = parse();
  } catch (caught) {
    expect(caught).toBeInstanceOf(CrashcartError);
    expect((caught as CrashcartError).reason).toBe(reasons.Invalid);
    expect((caught as CrashcartError).message.length).toBeLessThan(1_000);
    return;
  }
  judge(value);
}

const payload = fc.uint8Array({ maxLength: 200 });
const channel = fc.nat({ max: 255 });

fuzz('channel codec: what is encoded is decoded', fc.tuple(channel, payload), ([to, bytes]) => {
  const message = decodeMessage(encodeMessage(to, bytes));
  expect(message.channel).toBe(to);
  expect(message.payload.equals(bytes)).toBe(true);
});

const sizeLike = fc.oneof(
  payload,
  fc.json({ maxDepth: 2 }).map((text) => Buffer.from(text)),
  fc
    .record({ Width: fc.oneof(fc.nat(), fc.anything()), height: fc.oneof(fc.nat(), fc.anything()) })
    .map((size) =>
      Buffer.from(JSON.stringify(size, (_, value) => (typeof value === 'bigint' ? 0 : (value as unknown)))),
    ),
);
fuzz('a resize is a size or nothing', sizeLike, (bytes) => {
  const size = parseResize(bytes);
  if (size === undefined) return;
  for (const length of [size.width, size.height])
    expect(length > 0 && length <= 0xffff && Number.isInteger(length)).toBe(true);
});

const statusLike = fc.oneof(
  payload,
  fc.json().map((text) => Buffer.from(text)),
);
fuzz('a status gives an exit code, whatever it says', statusLike, (bytes) => {
  const { code } = exitOfStatus(bytes);
  expect(Number.isInteger(code) && code >= 0 && code <= 255).toBe(true);
  // Nothing but a Success is 0: a stream that was cut must not look like a command that worked.
  if (code === 0) expect(JSON.parse(Buffer.from(bytes).toString('utf8'))).toMatchObject({ status: 'Success' });
});
fuzz('the exit code of a status survives the way', fc.nat({ max: 255 }), (code) => {
  expect(exitOfStatus(encodeStatus(statusOfExit({ code, reason: reasons.Completed }))).code).toBe(code);
});
fuzz(
  'a refusal is an error, whatever its body',
  fc.tuple(fc.oneof(fc.anything(), fc.json()), fc.nat({ max: 999 })),
  ([body, code]) => {
    expect(errorOfRefusal(body, code)).toBeInstanceOf(CrashcartError);
    expect(errorOfStatus(body, code)).toBeInstanceOf(CrashcartError);
  },
);

const message = fc.tuple(
  fc.oneof(fc.constantFrom(0, 4, 255), channel),
  payload,
  fc.boolean(),
  fc.constantFrom('v5.channel.k8s.io', 'v4.channel.k8s.io'),
);
fuzz(
  'what a client sends becomes frames of its input, or an error',
  fc.array(message, { maxLength: 6 }),
  (messages) => {
    for (const protocol of ['v5.channel.k8s.io', 'v4.channel.k8s.io']) {
      const socket = Object.assign(new EventEmitter(), { protocol, pause() {}, resume() {} });
      const written: Buffer[] = [];
      const write = (chunk: Buffer, _: string, done: () => void): void => {
        written.push(chunk);
        done();
      };
      const stream = new Writable({ write });
      let invalid = 0;
      const onInvalid = (): void => {
        invalid += 1;
      };
      const listeners = { onInvalid, onBytes: () => undefined };
      forwardInput(socket as unknown as WebSocket, stream as never, listeners);
      const typed: Uint8Array[] = [];
      for (const [to, bytes, isBinary] of messages) {
        const before = invalid;
        socket.emit('message', encodeMessage(to, bytes), isBinary);
        if (isBinary && to === channels.stdin && invalid === before) typed.push(bytes);
      }
      const got: Buffer[] = [];
      const decoder = new FrameDecoder();
      for (const frame of decoder.push(Buffer.concat(written))) {
        expect([channels.stdin, channels.resize, channels.resume, channels.close]).toContain(frame.channel);
        if (frame.channel === channels.stdin) got.push(Buffer.from(frame.payload));
      }
      expect(decoder.idle).toBe(true);
      expect(Buffer.concat(got).equals(Buffer.concat(typed))).toBe(true);
    }
  },
);

fuzz(
  'frames arrive as they were sent, wherever the bytes are cut',
  fc.tuple(fc.array(fc.tuple(channel, payload), { maxLength: 8 }), fc.array(fc.nat({ max: 64 }), { maxLength: 30 })),
  ([sent, cuts]) => {
    const whole = Buffer.concat(sent.map(([to, bytes]) => encodeFrame(to, bytes)));
    const decoder = new FrameDecoder();
    const got: { channel: number; payload: Buffer }[] = [];
    let at = 0;
    for (const length of [...cuts.map((each) => each + 1), whole.length]) {
      for (const frame of decoder.push(Buffer.from(whole.subarray(at, at + length)))) {
        got.push({ channel: frame.channel, payload: Buffer.from(frame.payload) });
      }
      at += length;
    }
    expect(decoder.idle).toBe(true);
    expect(got.length).toBe(sent.length);
    for (const [index, [to, bytes]] of sent.entries()) {
      expect(got[index]?.channel).toBe(to);
      expect(got[index]?.payload.equals(bytes)).toBe(true);
    }
  },
);
fuzz(
  'bytes that are no frames are refused, and no frame is over the limit',
  chunked(fc.uint8Array({ maxLength: 300 })),
  (chunks) => {
    const decoder = new FrameDecoder();
    orInvalid(() => {
      for (const chunk of chunks) {
        for (const frame of decoder.push(chunk))
          expect(frame.payload.length).toBeLessThanOrEqual(limits.framePayloadBytes);
      }
    });
  },
);

const observed = {
  uid: '1f2e',
  namespace: 'shop',
  name: 'web-0-x7k2p',
  phase: 'Finished',
  startedAt: '2026-11-24T00:00:00Z',
  failure: { reason: 'Internal', message: 'why' },
  exit: { code: 7, signal: 'SIGTERM', reason: 'Completed', at: '2026-11-24T00:00:01Z' },
  attached: 1,
  cleanedUp: true,
  leftovers: 'nothing',
};
const desired = {
  uid: '1f2e',
  namespace: 'shop',
  name: 'web-0-x7k2p',
  pod: { name: 'web-0', uid: 'u' },
  container: { name: 'web', id: 'containerd://0123' },
  toolbox: 'default',
  profile: 'general',
  rules: { ...shippedProfiles.general, limits: { memoryBytes: 1, pids: 1, cpus: 0.5 } },
  command: ['sh', '-c', 'true'],
  tty: true,
  stdin: true,
  visibility: 'Session',
  user: { uid: 0, gid: 0 },
  maxDurationMs: 3_600_000,
  idleTimeoutMs: 900_000,
};

/** A parsed message holds no more than its limits allow, and nothing that nobody asked for. */
const bounded = (most: number) => (value: unknown) => {
  expect(JSON.stringify(value).length).toBeLessThanOrEqual(most);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
};

fuzz('tunnel: identity', fc.oneof(fc.anything(), spoiled({ token: 't', version: '1', instance: 'i' })), (value) =>
  orInvalid(() => parseIdentity(value), bounded(200_000)),
);
fuzz('tunnel: observed session', fc.oneof(fc.anything(), spoiled(observed)), (value) =>
  orInvalid(() => parseObservedSession(value), bounded(100_000)),
);
const events = fc.oneof(
  fc.anything(),
  spoiled({ type: 'list', sessions: [observed, observed] }),
  spoiled({ type: 'changed', session: observed }),
  spoiled({ type: 'forgotten', uid: '1f2e' }),
);
fuzz('tunnel: session event', events, (value) =>
  orInvalid(() => parseSessionEvent(value), bounded(limits.eventLineBytes)),
);
fuzz('tunnel: desired session', fc.oneof(fc.anything(), spoiled(desired)), (value) =>
  orInvalid(
    () => parseDesiredSession(value),
    (session) => {
      expect(session.uid).toMatch(/^[0-9a-zA-Z][0-9a-zA-Z-]*$/);
      for (const argument of session.command ?? []) expect(argument).not.toContain('\0');
    },
  ),
);

const storedRecording = {
  uid: 'u-1',
  namespace: 'shop',
  session: 'web-0-x1',
  bytes: 1,
  sha256: 'a'.repeat(64),
  complete: true,
};
fuzz(
  'tunnel: recordings of a node, whose names become keys of a store',
  fc.oneof(fc.anything(), spoiled({ recordings: [storedRecording] })),
  (value) =>
    orInvalid(
      () => parseStoredRecordings(value),
      (recordings) => {
        for (const { uid, namespace, session } of recordings)
          expect(`${namespace}/${session}-${uid}`).toMatch(/^[a-z0-9][-a-z0-9.]*\/[a-z0-9][-a-z0-9.]*-[-0-9a-zA-Z]+$/);
      },
    ),
);

const castHeader = {
  version: 2,
  width: 80,
  height: 24,
  timestamp: 1,
  crashcart: {
    namespace: 'shop',
    session: 's',
    uid: 'u',
    pod: 'p',
    podUid: 'i',
    container: 'c',
    profile: 'general',
    tty: true,
  },
};
fuzz(
  'recording: a header',
  fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    spoiled(castHeader).map((value) => JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? 0 : each))),
  ),
  (line) => orInvalid(() => parseHeader(`${line}`), bounded(20_000)),
);
fuzz('recording: an event', fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (line) =>
  orInvalid(
    () => parseEvent(line),
    ({ seconds }) => expect(seconds).toBeGreaterThanOrEqual(0),
  ),
);
