import fc from 'fast-check';
import { expect } from 'vitest';
import { parseDebugAttachment } from '../../src/api/debug-attachment.ts';
import { parseDebugProfile } from '../../src/api/debug-profile.ts';
import { parseDebugSession } from '../../src/api/parse.ts';
import { ParseError } from '../../src/api/read.ts';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { printable } from '../../src/base/text.ts';
import { parseAttachUrl } from '../../src/gateway/attach-request.ts';
import { identify } from '../../src/gateway/identity.ts';
import { parseCommandLine } from '../../src/kubectl/command-line.ts';
import { allFlags } from '../../src/kubectl/command-table.ts';
import { readConfig } from '../../src/kubectl/kubeconfig-file.ts';
import { formatTicket, parseTicket } from '../../src/wire/ticket.ts';
import { debugSession, requestHeader } from '../support/gateway-loopback.ts';
import { fuzz, spoiled } from './fuzz.ts';

const config = requestHeader('');
/** As Node hands over bytes that are UTF-8. */
const onTheWire = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('a, b', '__proto__', '%zz', '%2F'),
);
const well = text.filter((each) => each.isWellFormed());
const name = fc.constantFrom(
  'X-Remote-User',
  'x-remote-user',
  'X-Remote-Group',
  'X-REMOTE-GROUP',
  'X-Remote-Uid',
  'X-Remote-Extra-a',
  'X-Remote-Extra-__proto__',
  'X-Remote-Extra-',
  'X-Remote-Extra-%2f',
  'X-Remote-Grou',
  'Cookie',
  'constructor',
);

fuzz(
  'identity headers: exactly the user, the groups and the extras that were sent',
  fc.array(fc.tuple(fc.oneof(name, text), well), { maxLength: 12 }),
  (headers) => {
    const raw = headers.flatMap(([key, value]) => [key, onTheWire(value)]);
    const valuesOf = (wanted: string) =>
      headers.filter(([key]) => key.toLowerCase() === wanted).map(([, value]) => value);
    const sent = valuesOf('x-remote-user').find((value) => value !== '');
    try {
      const user = identify(raw, config);
      expect(user.name).toBe(sent);
      expect(user.groups).toEqual(valuesOf('x-remote-group'));
      expect(user.uid).toBe(valuesOf('x-remote-uid').find((value) => value !== ''));
      const extras = headers.filter(([key]) => key.toLowerCase().startsWith('x-remote-extra-') && key.length > 15);
      expect(Object.values(user.extra ?? {}).flat().length).toBe(extras.length);
      expect(({} as { a?: unknown }).a).toBeUndefined();
    } catch (caught) {
      expect(sent).toBeUndefined();
      expect((caught as CrashcartError).reason).toBe(reasons.Unauthorized);
    }
  },
);

const base = '/apis/subresources.crashcart.dev/v1alpha1/namespaces/';
const path = fc.oneof(
  text,
  fc.webPath(),
  fc.tuple(text, text, text).map(([ns, session, query]) => `${base}${ns}/debugsessions/${session}/attach?${query}`),
);
fuzz('attach path and query: names that could exist, or a refusal', path, (url) => {
  try {
    const target = parseAttachUrl(url);
    expect(target.namespace).toMatch(/^[a-z0-9-]{1,63}$/);
    expect(target.name).toMatch(/^[a-z0-9.-]{1,253}$/);
  } catch (caught) {
    expect(caught).toBeInstanceOf(CrashcartError);
    expect([reasons.NotFound, reasons.Invalid] as string[]).toContain((caught as CrashcartError).reason);
  }
});

const session = debugSession('a', {
  phase: 'Finished',
  conditions: [
    {
      type: 'Ready',
      status: 'True',
      observedGeneration: 1,
      lastTransitionTime: '2026-11-24T00:00:00Z',
      reason: 'R',
      message: 'm',
    },
  ],
  nodeName: 'n',
  exit: { code: 7, reason: 'Completed', at: '2026-11-24T00:00:00Z' },
} as never);
fuzz('DebugSession: parsed, or the field that is wrong', fc.oneof(fc.anything(), spoiled(session)), (value) => {
  try {
    const parsed = parseDebugSession(value);
    for (const part of [parsed.metadata.name, parsed.metadata.namespace, parsed.metadata.uid])
      expect(typeof part).toBe('string');
    // What was parsed once can be parsed again: nothing was let through half-read.
    expect(parseDebugSession(parsed)).toEqual(parsed);
  } catch (caught) {
    if (!(caught instanceof ParseError)) throw caught;
    expect(caught.path.length).toBeGreaterThan(0);
  }
});

const profile = {
  metadata: { name: 'ours', generation: 2 },
  spec: {
    capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] },
    users: 'Any',
    runAsNonRoot: true,
    seccomp: 'Floor',
    noNewPrivileges: true,
    visibilities: ['Session'],
    toolboxes: ['default'],
    limits: { memory: '1Gi', pids: 10, cpu: '500m' },
    maxDuration: '1h',
    idleTimeout: '1h',
    recording: 'Full',
    requireReason: true,
  },
};
fuzz('DebugProfile: parsed, or the field that is wrong', fc.oneof(fc.anything(), spoiled(profile)), (value) => {
  try {
    expect(typeof parseDebugProfile(value).name).toBe('string');
  } catch (caught) {
    if (!(caught instanceof ParseError)) throw caught;
  }
});

const attachment = {
  metadata: { name: 't', namespace: 'shop', uid: 'u', creationTimestamp: '2026-11-27T00:00:00Z' },
  spec: {
    sessionName: 's',
    secretSHA256: '0'.repeat(64),
    requestedBy: { username: 'a', uid: '1', groups: ['g'], extra: { k: ['v'] } },
  },
};
fuzz('DebugAttachment: parsed, or the field that is wrong', fc.oneof(fc.anything(), spoiled(attachment)), (value) => {
  try {
    const { requestedBy, createdAtMs } = parseDebugAttachment(value);
    expect(typeof requestedBy.username).toBe('string');
    expect(Number.isFinite(createdAtMs)).toBe(true);
    expect(
      Object.values(requestedBy.extra)
        .flat()
        .every((each) => typeof each === 'string'),
    ).toBe(true);
    expect(({} as { k?: unknown }).k).toBeUndefined();
  } catch (caught) {
    if (!(caught instanceof ParseError)) throw caught;
  }
});

const shown = formatTicket({ namespace: 'shop', name: 'web-0.a', secret: 'x'.repeat(43) });
fuzz(
  'a ticket in a header: read as it was written, or none',
  fc.oneof(
    text,
    fc.tuple(fc.nat(shown.length), text).map(([at, more]) => `${shown.slice(0, at)}${more}${shown.slice(at)}`),
  ),
  (header) => {
    const ticket = parseTicket(header);
    if (ticket) expect(formatTicket(ticket)).toBe(header);
  },
);

fuzz(
  'a command line is understood or refused with a sentence',
  fc.array(fc.oneof(text, fc.constantFrom('--', '-it', '-n', '--namespace=', '-o', 'json', '--tty=maybe', '-')), {
    maxLength: 8,
  }),
  (argv) => {
    try {
      parseCommandLine(argv, allFlags());
    } catch (caught) {
      expect(caught).toBeInstanceOf(CrashcartError);
      expect((caught as CrashcartError).reason).toBe(reasons.Invalid);
    }
  },
);

fuzz(
  'a kubeconfig of any shape is read',
  fc.oneof(
    fc.anything(),
    spoiled({
      'current-context': 'a',
      contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
      clusters: [{ name: 'a', cluster: { server: 'https://a' } }],
      users: [
        { name: 'a', user: { token: 't', exec: { command: 'c', args: ['a'], env: [{ name: 'a', value: 'b' }] } } },
      ],
    }),
  ),
  (value) => {
    const read = readConfig(value, '/home/jane/.kube');
    for (const user of read.users.values()) if (user.exec) expect(typeof user.exec.command).toBe('string');
  },
);

fuzz('what is printed moves no cursor', fc.string({ unit: 'binary' }), (each) => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
  expect(printable(each)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
});
