import fc from 'fast-check';
import { expect } from 'vitest';
import { CrashcartError } from '../../src/base/errors.ts';
import { parseEntryLine } from '../../src/node-agent/session/entry-line.ts';
import { parseContainerId } from '../../src/node-agent/target/container-id.ts';
import { parseRuntimeInfo } from '../../src/node-agent/target/runtime-spec.ts';
import { fuzz, spoiled } from './fuzz.ts';

/** As containerd prints it; a hostile image decides parts of it. */
const info = {
  pid: 4711,
  runtimeType: 'io.containerd.runc.v2',
  runtimeSpec: {
    process: {
      user: { uid: 0, gid: 0, additionalGids: [1] },
      env: ['A=b'],
      cwd: '/',
      capabilities: { bounding: ['CAP_KILL'] },
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    linux: { namespaces: [{ type: 'pid', path: '/proc/1/ns/pid' }], cgroupsPath: '/kubepods/a', seccomp: {} },
  },
};
const answers = fc.oneof(
  fc.constant(undefined),
  fc.string(),
  fc.json(),
  spoiled(info).map((value) => stringify(value)),
);
fuzz('CRI: the verbose answer of a runtime is read, or refused by name', answers, (answer) => {
  try {
    parseRuntimeInfo(answer);
  } catch (caught) {
    if (!(caught instanceof CrashcartError)) throw caught;
    expect(caught.message.length).toBeLessThan(2_000);
  }
});

fuzz(
  'container ids name no path',
  fc.oneof(
    fc.string(),
    fc.string({ maxLength: 64 }).map((id) => `containerd://${id}`),
  ),
  (text) => {
    try {
      const { id, runtime } = parseContainerId(text);
      for (const part of [id, runtime]) expect(part).toMatch(/^(?!\.\.?$)[^/\0]+$/);
    } catch (caught) {
      if (!(caught instanceof CrashcartError)) throw caught;
    }
  },
);

fuzz(
  'lines of crashcart-enter',
  fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string().map((rest) => `error ${rest}`),
  ),
  (line) => {
    try {
      expect(typeof parseEntryLine(line).type).toBe('string');
    } catch (caught) {
      if (!(caught instanceof CrashcartError)) throw caught;
    }
  },
);

function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? 0 : each));
  } catch {
    return undefined;
  }
}
