import { expect, test } from 'vitest';
import { attachPath } from '../api/names.ts';
import { parseAttachUrl } from './attach-request.ts';

const base = '/apis/subresources.crashcart.dev/v1alpha1/namespaces/shop/debugsessions/web-0.x/attach';

test('the query has the names and defaults of pods/attach', () => {
  expect(parseAttachUrl(attachPath('shop', 'web-0.x'))).toEqual({
    namespace: 'shop',
    name: 'web-0.x',
    observe: false,
    stdin: false,
    stdout: true,
    stderr: true,
    tty: false,
  });
  expect(parseAttachUrl(`${base}?stdin=1&stdout=false&tty=true&container=ignored`)).toMatchObject({
    stdin: true,
    stdout: false,
    stderr: true,
    tty: true,
  });
});

test.each([
  '/',
  base.replace('/attach', '/exec'),
  base.replace('shop', 'shop/x'),
  base.replace('v1alpha1', 'v1'),
  `/x${base}`,
  base.replaceAll('.', 'x'),
])('%s is not there', (url) => {
  expect(() => parseAttachUrl(url)).toThrow(expect.objectContaining({ reason: 'NotFound' }));
});

test.each(['..', '%2e%2e', '%00', 'A', '%zz', '-a', 'a%2Fb', 'x'.repeat(64)])('%s is no namespace', (namespace) => {
  expect(() => parseAttachUrl(base.replace('shop', namespace))).toThrow(expect.objectContaining({ reason: 'Invalid' }));
});
