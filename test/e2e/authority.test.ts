import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must } from '../support/dry-run.ts';
import { kubectl } from '../support/environment.ts';
import { companyIn } from './authority/company.ts';
import { type Act, acts, type Column, columns, elsewhere, markdown } from './authority/matrix.ts';
import type { Person } from './authority/people.ts';

// Who may do what: every cell of the table in docs/rights.md, asked of the real API server, its policies and the gateway.
const company = companyIn('authority');
const there = 'authority-elsewhere';

beforeAll(async () => void (await must('create', 'namespace', there)));
afterAll(async () => void (await kubectl(['delete', 'namespace', there, '--wait=false'])));

/** The schema comes before the policies: whoever may patch at all is told by it. */
const refusalOf = ({ by }: Act): object => ({
  code: by === 'change' ? expect.toSatisfy((code) => code === 403 || code === 422) : 403,
});

const cells = (of: readonly Act[]): [string, Column, Act][] =>
  of.flatMap((act) => columns.map((column): [string, Column, Act] => [`${column}: ${act.title}`, column, act]));

test('the table in docs/rights.md is this one', async () => {
  const page = await readFile(join(import.meta.dirname, '../../docs/rights.md'), 'utf8');
  expect(page).toContain(markdown());
});

describe('in the namespace of the binding', () => {
  test.each(cells(acts))('%s', async (_, column, act) => {
    const answer = await company.attempt(company.person(column), column, act);
    if (act.allowed.includes(column)) expect(answer).toBe('allowed');
    else expect(answer).toMatchObject(refusalOf(act));
  });
});

describe('in another namespace nobody may', () => {
  test.each(cells(elsewhere))('%s', async (_, column, act) => {
    expect(await company.attempt(company.person(column), column, act, there)).toMatchObject({ code: 403 });
  });
});

describe('a right of a group, or of a service account with its own token, is as good', () => {
  const others: [string, () => Person, string][] = [
    ['a member of the group', () => company.crew, 'crews'],
    ['a service account', () => company.robot, 'robots'],
  ];
  test.each(
    others.flatMap(([title, who, own]) =>
      acts.map((act): [string, () => Person, string, Act] => [`${title}: ${act.title}`, who, own, act]),
    ),
  )('%s', async (_, who, own, act) => {
    const isOwn = typeof act.by === 'object' && 'attach' in act.by && act.by.attach === 'own';
    const answer = await (isOwn
      ? who().attach(company.here, own)
      : act.by === 'extend'
        ? company.extend(who(), own, '2h')
        : company.attempt(who(), 'user + exec', act));
    if (act.allowed.includes('user + exec')) expect(answer).toBe('allowed');
    else expect(answer).toMatchObject(refusalOf(act));
  });
});
