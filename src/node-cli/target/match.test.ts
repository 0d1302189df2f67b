import { describe, expect, it } from 'vitest';
import type { Candidate } from '../runtimes/runtime.ts';
import { labelOf, matchOne, parseReference } from './match.ts';

const hex = (start: string): string => start.padEnd(64, '0');
const candidate = (id: string, more: Partial<Candidate> = {}): Candidate => ({
  runtime: 'docker',
  id,
  names: [],
  state: 'running',
  running: true,
  ...more,
});

const web = candidate(hex('4f2a'), { names: ['web'] });
const other = candidate(hex('4f3b'), { names: ['db'], runtime: 'podman' });
const stopped = candidate(hex('99'), { names: ['old'], state: 'exited', running: false });
const inPod = (container: string, id: string): Candidate =>
  candidate(hex(id), {
    runtime: 'cri',
    names: [container],
    pod: { id: hex('aa'), namespace: 'shop', name: 'web-0', container },
  });
const [main, proxy] = [inPod('main', 'b1'), inPod('proxy', 'b2')];
const all = [web, other, stopped, main, proxy];
const find = (id: string, among = all): Candidate => matchOne(parseReference(id), among);

describe('matchOne', () => {
  it('finds by whole id, start of id, and name', () => {
    expect(find(web.id)).toBe(web);
    expect(find('4f2')).toBe(web);
    expect(find('db')).toBe(other);
  });

  it('lists all that a start of an id may mean, with their runtimes', () => {
    expect(() => find('4f')).toThrow(/podman +4f3b00000000 +db\n +docker +4f2a00000000 +web/);
  });

  it('prefers a whole name to the start of an id', () => {
    const named = candidate(hex('77'), { names: ['4f'] });
    expect(find('4f', [...all, named])).toBe(named);
  });

  it('does not guess whether a number is a pid or the start of an id', () => {
    const pid = candidate('99', { runtime: 'pid' });
    expect(() => find('99', [pid, candidate(hex('99'))])).toThrow(/--runtime/);
    expect(find('99', [pid, web])).toBe(pid);
    // What does not run cannot be meant.
    expect(find('99', [pid, stopped])).toBe(pid);
  });

  it('finds a container of a pod, and lists them where there are several', () => {
    expect(find('k8s shop/web-0/proxy')).toBe(proxy);
    expect(() => find('k8s shop/web-0')).toThrow(/shop\/web-0\/main.*shop\/web-0\/proxy/s);
    expect(() => find('web-0')).toThrow(/may be any of these/);
    expect(find('k8s shop/web-0', [main])).toBe(main);
    expect(find('aa', [main])).toBe(main);
    expect(() => find('k8s other/web-0')).toThrow(/"other\/web-0"/);
  });

  it('says what is wrong with a container that does not run, and with one that is not there', () => {
    expect(() => find('old')).toThrow(/old of docker is not running \(exited\)/);
    expect(() => find('nope')).toThrow(/crashcart doctor/);
  });

  it('shows no control characters of a name', () => {
    const evil = [candidate(hex('e1'), { names: ['\x1b[2J'] }), candidate(hex('e2'), { names: ['x'] })];
    expect(() => find('e', evil)).toThrow(/\\u001b\[2J/);
  });
});

it.each(['k8s shop', 'k8s shop/', 'k8s /web', 'k8s shop/web/', 'k8s a/b/c/d'])('refuses "%s"', (id) => {
  expect(() => parseReference(id)).toThrow(/NAMESPACE\/POD/);
});

it('names a container of another containerd namespace with it', () => {
  expect(labelOf(candidate('web', { runtime: 'containerd', namespace: 'build' }))).toBe('web (namespace build)');
  expect(labelOf(candidate('web', { runtime: 'containerd', namespace: 'default' }))).toBe('web');
});
