import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../../support/run.ts';

const project = join(import.meta.dirname, '../../..');
let prefix: string;

beforeAll(() => {
  for (const step of ['toolbox', 'node-cli'])
    execFileSync(process.execPath, [join(project, 'builder/main.ts'), step], { stdio: 'ignore' });
  prefix = mkdtempSync(join(tmpdir(), 'crashcart-npm-'));
}, 120_000);
afterAll(() => rmSync(prefix, { recursive: true, force: true }));

it('installs from its npm package without a network, a compiler or scripts, and works as the executable does', async () => {
  const install = [
    'install',
    '--global',
    '--offline',
    '--ignore-scripts',
    '--no-audit',
    '--prefix',
    prefix,
    join(project, 'build/npm/crashcart.tgz'),
  ];
  expect(await run('npm', install)).toMatchObject({ code: 0 });
  const program = join(prefix, 'bin/crashcart');
  expect(await run(program, ['--version'])).toEqual(await run(join(project, 'build/bin/crashcart'), ['--version']));
  // It calls the kernel through koffi and runs crashcart-enter.
  const { stdout } = await run(program, ['--json', '-i', join(project, 'build/toolbox/default.erofs'), 'doctor']);
  const { works, findings } = JSON.parse(stdout);
  expect(findings).toContainEqual({ what: 'crashcart-enter', verdict: 'good', detail: 'runs from sealed memory' });
  expect(works).toBe(true);
});
