import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { options, runtimeNames, verbs } from './command-table.ts';
import { completionScript } from './completion.ts';
import { helpText } from './help.ts';

const read = (path: string): string => readFileSync(new URL(`../../docs/${path}`, import.meta.url), 'utf8');
const manual = read('man/crashcart.8').replace(/\\-/g, '-');

describe.each([
  ['the help', helpText()],
  ['the manual', manual],
  ['bash', completionScript(['bash'])],
  ['zsh', completionScript(['zsh'])],
  ['fish', completionScript(['fish'])],
])('%s', (_name, text) => {
  it.each(options)('knows --$name', ({ name, short }) => {
    expect(text).toMatch(new RegExp(`(--|-l )${name}\\b`));
    if (short) expect(text).toMatch(new RegExp(`-(s )?${short}\\b`));
  });
  it.each(verbs)('knows $name', ({ name }) => expect(text).toContain(name));
});

it('docs/crashcart.md has every verb, option and runtime', () => {
  const page = read('crashcart.md');
  for (const { name } of verbs) expect(page).toContain(`\`${name}\``.replace('`completion`', 'crashcart completion'));
  for (const { name, short } of options) expect(page).toMatch(new RegExp(`--${name}\\b|\`-${short}\\b|-${short}, `));
  for (const name of runtimeNames) expect(page).toContain(name);
});

it('refuses a shell that it does not know', () => {
  expect(() => completionScript(['tcsh'])).toThrow(/bash\|zsh\|fish/);
});
