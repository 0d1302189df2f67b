import { afterAll, beforeAll, expect } from 'vitest';
import { apiVersion, plural, profileKind, profilePlural } from '../../../src/api/names.ts';
import { resourcePath } from '../../../src/kube/paths.ts';
import { must } from '../../support/dry-run.ts';
import { kubectl } from '../../support/environment.ts';
import { eventually } from '../../support/eventually.ts';
import { expectNothingLeft } from '../nothing-left.ts';
import { type Act, acts, type Column, columns, rolesOf } from './matrix.ts';
import { type Answer, dryRun, Person, sessionOf } from './people.ts';

export const nameOf = (column: Column): string => `authority-${column.replaceAll(/[^a-z]+/g, '-')}`;

/**
 * People with rights of every kind in one namespace, by a name, a group and a service account with a token of its own; and sessions of theirs, which
 * run until the end of the file. Nothing of theirs is changed by what is tried: dry runs, and attaches that are closed at once.
 */
export class Company {
  readonly here: string;
  readonly admin = new Person();
  readonly owner = new Person({ as: 'authority-owner' });
  readonly crew = new Person({ as: 'gina', asGroups: ['authority-crew', 'Büro, 2. Stock'], asUid: 'uid-gina' });
  readonly #people = new Map<Column, Person>();
  #robot: Person | undefined;

  constructor(here: string) {
    this.here = here;
  }

  get robot(): Person {
    if (!this.#robot) throw new Error('the service account has no token yet');
    return this.#robot;
  }

  person(column: Column): Person {
    const known = this.#people.get(column) ?? new Person({ as: nameOf(column) });
    this.#people.set(column, known);
    return known;
  }

  path(name?: string, subresource?: string, namespace = this.here): string {
    return resourcePath(apiVersion, plural, {
      namespace,
      ...(name ? { name } : {}),
      ...(subresource ? { subresource } : {}),
    });
  }

  async bind(subject: string, role: string): Promise<void> {
    const name = `${subject}-${role}`.replaceAll(/[^a-z]+/g, '-').replace(/^-/, '');
    await must('create', 'rolebinding', name, '-n', this.here, `--clusterrole=${role}`, subject);
  }

  /** A session that sleeps in the pod until it is deleted, started by `by`. */
  async start(by: Person, name: string, spec: object = {}): Promise<void> {
    const body = sessionOf(this.here, name, { tty: false, command: ['sleep', '600'], ...spec });
    await eventually(async () => expect(await by.try({ method: 'POST', path: this.path(), body })).toBe('allowed'));
    await must('wait', '-n', this.here, `dbg/${name}`, '--for=condition=Ready', '--timeout=30s');
  }

  patch(by: Person, name: string, body: object, subresource?: string, namespace?: string): Promise<Answer> {
    const path = this.path(name, subresource, namespace);
    return by.try({ method: 'PATCH', path, query: dryRun, body, contentType: 'application/merge-patch+json' });
  }

  extend(by: Person, name: string, maxDuration: string, more: object = {}): Promise<Answer> {
    return this.patch(by, name, { spec: { maxDuration }, ...more });
  }

  /** How each act of the table is tried. */
  attempt(by: Person, column: Column, { by: how }: Act, namespace = this.here): Promise<Answer> {
    const patch = (name: string, body: object, subresource?: string): Promise<Answer> =>
      this.patch(by, name, body, subresource, namespace);
    const path = (name?: string): string => this.path(name, undefined, namespace);
    switch (how) {
      case 'get':
        return by.try({ method: 'GET', path: path('foreign') });
      case 'list':
        return by.try({ method: 'GET', path: path(), query: { limit: 5 } });
      case 'watch':
        return by.watch(path());
      case 'delete':
        return by.try({ method: 'DELETE', path: path('foreign'), query: dryRun });
      case 'extend':
        return patch(sessionFor(column, 'own'), { spec: { maxDuration: '2h' } });
      case 'extendForeign':
        return patch('foreign', { spec: { maxDuration: '2h' } });
      case 'change':
        return patch('foreign', { spec: { idleTimeout: '2h' } });
      case 'label':
        return patch('foreign', { metadata: { labels: { mine: 'now' } } });
      case 'status':
        return patch('foreign', { status: { phase: 'Finished' } }, 'status');
      case 'release':
        return patch('foreign', { metadata: { finalizers: [] } });
      case 'profiles':
        return by.try({ method: 'GET', path: resourcePath(apiVersion, profilePlural) });
      case 'define':
        return by.try({
          method: 'POST',
          path: resourcePath(apiVersion, profilePlural),
          query: dryRun,
          body: nightShift,
        });
      default:
        if ('create' in how) return by.create(namespace, { profile: how.create });
        return by.attach(namespace, sessionFor(column, how.attach), how.observe);
    }
  }

  async gather(): Promise<void> {
    const { here } = this;
    await must('create', 'namespace', here);
    await must('wait', '-n', here, '--for=create', '--timeout=30s', 'serviceaccount/default');
    await must('create', 'serviceaccount', 'robot', '-n', here);
    const image = ['--image=localhost/busybox:1', '--image-pull-policy=IfNotPresent'];
    await must('run', 'box', '-n', here, ...image, '--command', '--', 'sleep', '1000000');
    await must('create', 'clusterrole', 'authority-exec', '--verb=create', '--resource=pods/exec');
    for (const column of columns) for (const role of rolesOf[column]) await this.bind(`--user=${nameOf(column)}`, role);
    for (const role of rolesOf['user + exec']) {
      await this.bind('--group=authority-crew', role);
      await this.bind(`--serviceaccount=${here}:robot`, role);
      await this.bind('--user=authority-owner', role);
    }
    await this.bind('--user=authority-owner', 'crashcart-admin');
    await must('wait', '-n', here, 'pod/box', '--for=condition=Ready', '--timeout=60s');
    this.#robot = new Person({ token: (await must('create', 'token', 'robot', '-n', here)).trim() });
    await this.start(this.owner, 'foreign');
    await this.start(this.owner, 'foreign-sysadmin', { profile: 'sysadmin' });
    await Promise.all([
      ...(['user + exec', 'admin + exec'] as const).map((column) => this.start(this.person(column), nameOf(column))),
      this.start(this.crew, 'crews'),
      this.start(this.robot, 'robots'),
    ]);
    // The API server's authoriser hears of a role binding a moment later.
    for (const column of columns.filter((each) => rolesOf[each].some((role) => role.startsWith('crashcart')))) {
      await eventually(async () => expect(await this.attempt(this.person(column), column, acts[0]!)).toBe('allowed'));
    }
  }

  async leave(): Promise<void> {
    try {
      await must('delete', 'debugsessions', '--all', '-n', this.here, '--timeout=60s');
      await expectNothingLeft();
    } finally {
      await kubectl(['delete', 'namespace', this.here, '--wait=false']);
      await kubectl(['delete', 'clusterrole', 'authority-exec']);
      for (const each of [...this.#people.values(), this.admin, this.owner, this.crew]) each.close();
      this.#robot?.close();
    }
  }
}

/** Of the whole file: there before its first test, gone after its last, with nothing left on the nodes. */
export function companyIn(here: string): Company {
  const company = new Company(here);
  beforeAll(() => company.gather());
  afterAll(() => company.leave());
  return company;
}

const nightShift = {
  apiVersion,
  kind: profileKind,
  metadata: { name: 'night-shift' },
  spec: { capabilities: { add: ['ALL'] }, users: 'Any' },
};

const sessionFor = (column: Column, whose: 'own' | 'foreign' | 'foreign of sysadmin'): string => {
  if (whose === 'own') return column === 'user + exec' || column === 'admin + exec' ? nameOf(column) : 'foreign';
  return whose === 'foreign' ? 'foreign' : 'foreign-sysadmin';
};
