import { expect, test } from 'vitest';
import { createDiscovery } from './discovery.ts';

const discover = createDiscovery();
/** What kube-apiserver 1.37 sends. */
const aggregator =
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json';

test('the aggregator gets version 2, byte for byte', () => {
  const answer = discover('/apis', { accept: aggregator });
  expect(answer?.headers['content-type']).toBe('application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');
  expect(answer?.body).toBe(
    '{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":[{"metadata":{"name":"subresources.crashcart.dev","creationTimestamp":null},"versions":[{"version":"v1alpha1","freshness":"Current","resources":[{"resource":"debugsessions","responseKind":{"group":"","version":"","kind":"DebugSession"},"scope":"Namespaced","singularResource":"","verbs":[],"subresources":[{"subresource":"attach","responseKind":{"group":"","version":"","kind":"DebugSessionAttachOptions"},"verbs":["create","get"]},{"subresource":"recording","responseKind":{"group":"","version":"","kind":"DebugSessionRecording"},"verbs":["get"]}]}]}]}]}',
  );
});

test.each([
  ['application/json; g=apidiscovery.k8s.io; v=v2beta1; as=APIGroupDiscoveryList', 'APIGroupDiscoveryList', 'v2beta1'],
  ['application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList,application/json', 'APIGroupList', ''],
  ['application/json', 'APIGroupList', ''],
  ['*/*', 'APIGroupList', ''],
])('%s gets %s %s', (accept, kind, version) => {
  const answer = discover('/apis', { accept });
  expect(JSON.parse(answer?.body ?? '').kind).toBe(kind);
  if (version) expect(answer?.headers['content-type']).toContain(`v=${version};`);
  else expect(answer?.headers['content-type']).toBe('application/json');
});

test('an unchanged document is not sent again', () => {
  const etag = discover('/apis', { accept: aggregator })?.headers['etag'];
  expect(etag).toMatch(/^"[0-9A-F]{64}"$/);
  expect(discover('/apis', { accept: aggregator, 'if-none-match': etag ?? '' })).toMatchObject({ code: 304, body: '' });
  expect(discover('/apis', { accept: 'application/json', 'if-none-match': etag ?? '' })?.code).toBe(200);
});

test('the group and the version have documents of their own', () => {
  expect(JSON.parse(discover('/apis/subresources.crashcart.dev', {})?.body ?? '')).toMatchObject({
    kind: 'APIGroup',
    preferredVersion: { groupVersion: 'subresources.crashcart.dev/v1alpha1', version: 'v1alpha1' },
  });
  expect(JSON.parse(discover('/apis/subresources.crashcart.dev/v1alpha1/', {})?.body ?? '')).toEqual({
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: 'subresources.crashcart.dev/v1alpha1',
    resources: [
      {
        name: 'debugsessions/attach',
        singularName: '',
        namespaced: true,
        kind: 'DebugSessionAttachOptions',
        verbs: ['create', 'get'],
      },
      {
        name: 'debugsessions/recording',
        singularName: '',
        namespaced: true,
        kind: 'DebugSessionRecording',
        verbs: ['get'],
      },
    ],
  });
});

test.each(['/', '/apis/', '/apis/crashcart.dev', '/apis/subresources.crashcart.dev/v1', '/api', '/constructor'])(
  '%s is discovery only if it is one of the documents',
  (path) => {
    expect(discover(path, {}) !== undefined).toBe(path === '/apis/');
  },
);
