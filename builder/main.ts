import { argv, env } from 'node:process';
import { describe as explain } from '../src/base/errors.ts';
import { makeLocks } from './lock-verb.ts';

void argv;
await makeLocks(env).catch((e) => {
  console.error(explain(e));
  process.exitCode = 1;
});
