import { expect, test } from 'vitest';
import { buildBundle, programs } from './bundles.ts';
import { packageOf } from './licences.ts';

/** Every package in it is memory on every node, whether anything of it runs or not. */
test('an agent carries the packages that it needs and no other', async () => {
  const { inputs } = await buildBundle(programs.agent);
  const packages = new Set(Object.keys(inputs).flatMap(packageOf));
  const own = [...packages].filter((name) => !name.startsWith('@protobufjs/')).sort();
  // tdigest and bintrees are prom-client's for summaries, which its index loads; the tracing interface is what its exemplars ask for.
  expect(own).toEqual(['@opentelemetry/api', 'bintrees', 'commander', 'long', 'prom-client', 'protobufjs', 'tdigest']);
  expect(Object.keys(inputs).filter((file) => /prom-client\/lib\/(pushgateway|cluster)\.js$/.test(file))).toEqual([]);
});
