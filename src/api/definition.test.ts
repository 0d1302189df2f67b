import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

interface Schema {
  readonly properties: Readonly<Record<string, Schema>>;
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[];
}

test('the rule that keeps the spec of a session as it is names each of its fields but maxDuration and extendedBy', () => {
  const file = join(import.meta.dirname, '../../crds/debugsession.yaml');
  const crd = parse(readFileSync(file, 'utf8')) as {
    spec: { versions: { schema: { openAPIV3Schema: Schema } }[] };
  };
  const spec = crd.spec.versions[0]!.schema.openAPIV3Schema.properties['spec']!;
  const rule = spec['x-kubernetes-validations']!.find(({ message }) => message.includes('only maxDuration'))!.rule;
  const kept = new Set([...rule.matchAll(/self\.(\w+) == oldSelf\.\1/g)].map(([, field]) => field));
  const changing = Object.keys(spec.properties).filter((field) => !kept.has(field));
  expect(changing.toSorted()).toEqual(['extendedBy', 'maxDuration']);
});
