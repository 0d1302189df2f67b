import { expect, test } from 'vitest';
import { type ExpectedPolicy, judgePolicies, parseExpectedPolicies, parsePolicyObject } from './policies.ts';

const expected: readonly ExpectedPolicy[] = [
  {
    name: 'p',
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: { matchPolicy: 'Equivalent', resourceRules: [{ resources: ['debugsessions'] }] },
      validations: [{ expression: 'x', reason: 'Forbidden' }],
    },
    paramRef: { selector: {}, parameterNotFoundAction: 'Allow' },
  },
];

/** As the API server gives it back, with its defaults. */
const policySpec = {
  failurePolicy: 'Fail',
  matchConstraints: {
    matchPolicy: 'Equivalent',
    namespaceSelector: {},
    objectSelector: {},
    resourceRules: [{ resources: ['debugsessions'], scope: '*' }],
  },
  validations: [{ expression: 'x', reason: 'Forbidden' }],
};
const bindingSpec = {
  policyName: 'p',
  validationActions: ['Deny'],
  paramRef: { selector: {}, parameterNotFoundAction: 'Allow' },
};

const at = (seconds: number) => new Date(seconds * 1_000).toISOString();
const object = (spec: unknown, managedFields: unknown[] = []) =>
  parsePolicyObject({ metadata: { name: 'p', creationTimestamp: at(100), managedFields }, spec });
const judge = (policy: unknown = policySpec, binding: unknown = bindingSpec) =>
  judgePolicies(expected, [object(policy)], [object(binding)]);

test('what the API server fills in is no change', () => {
  expect(judge()).toEqual({ intact: true, sinceMs: 100_000 });
  const spelledOut = { matchResources: { matchPolicy: 'Equivalent', namespaceSelector: {}, objectSelector: {} } };
  expect(judge(policySpec, { ...bindingSpec, ...spelledOut }).intact).toBe(true);
});

test('the last write of a spec counts, not the API server’s own notes in the status', () => {
  const notes = { time: at(300), subresource: 'status' };
  const policies = [object(policySpec, [{ time: at(200) }, notes])];
  expect(judgePolicies(expected, policies, [object(bindingSpec)])).toEqual({ intact: true, sinceMs: 200_000 });
});

const { matchConstraints } = policySpec;
test.each<[string, unknown, unknown]>([
  [
    'a condition that matches nothing',
    { ...policySpec, matchConditions: [{ name: 'n', expression: 'false' }] },
    bindingSpec,
  ],
  ['a failure policy that lets pass', { ...policySpec, failurePolicy: 'Ignore' }, bindingSpec],
  ['fewer checks', { ...policySpec, validations: [] }, bindingSpec],
  ['another check', { ...policySpec, validations: [{ expression: 'true', reason: 'Forbidden' }] }, bindingSpec],
  [
    'namespaces that are left out',
    { ...policySpec, matchConstraints: { ...matchConstraints, namespaceSelector: { matchLabels: { a: 'b' } } } },
    bindingSpec,
  ],
  [
    'resources that are left out',
    { ...policySpec, matchConstraints: { ...matchConstraints, excludeResourceRules: [{ resources: ['*'] }] } },
    bindingSpec,
  ],
  ['a binding that only warns', policySpec, { ...bindingSpec, validationActions: ['Warn'] }],
  ['a binding that also warns', policySpec, { ...bindingSpec, validationActions: ['Deny', 'Warn'] }],
  ['a binding of another policy', policySpec, { ...bindingSpec, policyName: 'q' }],
  [
    'a binding for some namespaces',
    policySpec,
    { ...bindingSpec, matchResources: { objectSelector: { matchLabels: { a: 'b' } } } },
  ],
  ['other parameters', policySpec, { ...bindingSpec, paramRef: { name: 'mine', parameterNotFoundAction: 'Allow' } }],
])('%s is seen', (_, policy, binding) => {
  expect(judge(policy, binding)).toEqual({
    intact: false,
    why: expect.stringMatching(/p is not what the chart made it/),
  });
});

test('a policy or a binding that is missing is named', () => {
  expect(judgePolicies(expected, [], [object(bindingSpec)])).toMatchObject({
    why: expect.stringMatching(/^the ValidatingAdmissionPolicy p is missing.*helm upgrade/),
  });
  expect(judgePolicies(expected, [object(policySpec)], [])).toMatchObject({
    why: expect.stringMatching(/^the ValidatingAdmissionPolicyBinding p is missing/),
  });
});

test.each(['', '[]', '{}', '[{"name": "p"}]'])('%j is no list of policies', (text) => {
  expect(() => parseExpectedPolicies(text)).toThrow(/--policies/);
});
