import { expect, test } from 'vitest';
import { ApiRefusal, explain, type Request } from './api-refusal.ts';

const create: Request = { verb: 'create', resource: 'debugsessions', namespace: 'shop' };
const attach: Request = { verb: 'attach', resource: 'debugsessions', namespace: 'shop', name: 'web-0-abcde' };

const refusal = (code: number, reason: string, message: string, kind?: string) =>
  new ApiRefusal(JSON.stringify({ kind: 'Status', status: 'Failure', reason, message, details: { kind } }), code);

const sentence = (refused: ApiRefusal, asked: Request): string => explain(refused, asked).message;

test('a cluster without Crashcart is named as that, with the way to install it', () => {
  expect(sentence(refusal(404, 'NotFound', 'the server could not find the requested resource'), create)).toMatch(
    /^Crashcart is not installed in this cluster: "helm install crashcart /,
  );
  expect(sentence(new ApiRefusal('404 page not found\n', 404), attach)).toMatch(
    /^the attach service .* is not there: see/,
  );
});

test('a missing namespace is not taken for a missing installation', () => {
  expect(sentence(refusal(404, 'NotFound', 'namespaces "shop" not found', 'namespaces'), create)).toMatch(
    /^there is no namespace "shop"/,
  );
});

test('a missing right is named with the command that grants it', () => {
  const message =
    'debugsessions.crashcart.dev is forbidden: User "jane doe" cannot create resource "debugsessions" in API group "crashcart.dev" in the namespace "shop"';
  expect(sentence(refusal(403, 'Forbidden', message), create)).toBe(
    'not allowed: User "jane doe" cannot create resource "debugsessions" in API group "crashcart.dev" in the namespace "shop"; ask an administrator for the role crashcart-user: ' +
      "kubectl create rolebinding crashcart-user -n shop --clusterrole=crashcart-user --user='jane doe'",
  );
});

test('the words of the admission policy come without its prefix', () => {
  const message =
    "debugsessions.crashcart.dev \"web-0-abcde\" is forbidden: ValidatingAdmissionPolicy 'debugsessions.crashcart.dev' with binding 'debugsessions.crashcart.dev' denied request: a session in pod web-0 needs the right to create pods/exec on it";
  expect(sentence(refusal(403, 'Forbidden', message), create)).toBe(
    'not allowed: a session in pod web-0 needs the right to create pods/exec on it',
  );
});

test("a session's own reason comes in its own words", () => {
  const message = 'pod "web-0" does not exist';
  expect(sentence(refusal(404, 'PodNotFound', message), attach)).toBe(message);
});

test('a value that the schema refuses is named without the noise around it', () => {
  const message = 'DebugSession.crashcart.dev "web-0-abcde" is invalid: spec.toolbox: Invalid value: "A"';
  expect(sentence(refusal(422, 'Invalid', message), create)).toBe(
    'the cluster does not take this session: spec.toolbox: Invalid value: "A"',
  );
});

test('what a hostile cluster says cannot steer the terminal', () => {
  const said = refusal(500, 'InternalError', 'a\x1b]0;title\x07\nb\x9b2Jc').message;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the point
  expect(said).not.toMatch(/[\x00-\x1f\x7f-\x9f]/);
});
