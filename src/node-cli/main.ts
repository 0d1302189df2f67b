#!/usr/bin/env node
import { flushed } from './host.ts';
import { main } from './program.ts';

void main(process.argv.slice(2), process).then(async (code) => {
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  // Not by running dry: a standard input that nobody closes would keep the process.
  process.exit(code);
});
