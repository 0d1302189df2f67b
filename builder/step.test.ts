import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inProject } from './paths.ts';
import { ensure, type Step } from './step.ts';

describe('ensure', () => {
  const name = `step-test-${process.pid}`;
  const directory = `build/${name}`;
  let made: number;
  const step: Step = {
    name,
    from: [`${directory}/in`],
    to: [`${directory}/out`],
    make: async () => {
      made++;
      writeFileSync(inProject(`${directory}/out`), 'made');
    },
  };
  beforeEach(() => {
    made = 0;
    mkdirSync(inProject(`${directory}/in`), { recursive: true });
    writeFileSync(inProject(`${directory}/in/a.ts`), 'one');
  });
  afterEach(() => {
    rmSync(inProject(directory), { recursive: true });
    rmSync(inProject(`build/.stamps/${name}`), { force: true });
  });
  const timesMadeAfter = async (change: () => void, changed: Step = step) => {
    await ensure(step, () => {});
    change();
    made = 0;
    await ensure(changed, () => {});
    return made;
  };

  it('makes nothing again when nothing has changed', async () => {
    expect(await timesMadeAfter(() => {})).toBe(0);
  });

  it('makes nothing again when only a time stamp or a test of its source has changed', async () => {
    const touch = () => {
      utimesSync(inProject(`${directory}/in/a.ts`), 1, 1);
      writeFileSync(inProject(`${directory}/in/a.test.ts`), 'a test');
    };
    expect(await timesMadeAfter(touch)).toBe(0);
  });

  it.each([
    ['a source', () => writeFileSync(inProject(`${directory}/in/a.ts`), 'two')],
    ['a new source', () => writeFileSync(inProject(`${directory}/in/b.ts`), '')],
    ['an edited result', () => writeFileSync(inProject(`${directory}/out`), 'edited')],
    ['a lost result', () => rmSync(inProject(`${directory}/out`))],
  ])('makes again after %s', async (_what, change) => {
    expect(await timesMadeAfter(change)).toBe(1);
  });

  it('makes again when what it depends on besides files has changed', async () => {
    expect(await timesMadeAfter(() => {}, { ...step, also: ['node 25'] })).toBe(1);
  });

  it('tries again after a failure', async () => {
    const failing = { ...step, make: () => Promise.reject(new Error('no room')) };
    await expect(ensure(failing, () => {})).rejects.toThrow('no room');
    await ensure(step, () => {});
    expect(made).toBe(1);
  });
});
