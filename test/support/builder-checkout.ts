import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inProject } from '../../builder/paths.ts';

/** Everything that the toolbox builder consists of, elsewhere: its list and its locks may be changed. */
export interface BuilderCheckout {
  readonly directory: string;
  run(args: readonly string[], env?: NodeJS.ProcessEnv): SpawnSyncReturns<string>;
  read(file: string): string;
  write(file: string, text: string): void;
}

export function copyBuilder(directory: string): BuilderCheckout {
  for (const path of ['builder', 'src/base', 'package.json', 'node_modules/commander', 'node_modules/@cyclonedx'])
    cpSync(inProject(path), join(directory, path), { recursive: true });
  const program = join(directory, 'builder/crashcart-build.ts');
  return {
    directory,
    run: (args, env = {}) =>
      spawnSync(process.execPath, [program, ...args], {
        encoding: 'utf8',
        cwd: '/',
        env: { ...process.env, ...env },
      }),
    read: (file) => readFileSync(join(directory, 'builder', file), 'utf8'),
    write: (file, text) => writeFileSync(join(directory, 'builder', file), text),
  };
}
