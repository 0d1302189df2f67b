/**
 * Who may do what, as data: test/e2e/authority.test.ts asks the API server about each cell, docs/rights.md prints it, and a test compares the two.
 * `exec` is `create pods/exec` on the session's pod, which no role of ours holds.
 */
export const columns = ['nothing', 'exec', 'view', 'observer', 'user', 'user + exec', 'admin', 'admin + exec'] as const;
export type Column = (typeof columns)[number];

/** The ClusterRoles bound in the session's namespace. `authority-exec` is the tests' own. */
export const rolesOf: Readonly<Record<Column, readonly string[]>> = {
  nothing: [],
  exec: ['authority-exec'],
  view: ['crashcart-view'],
  observer: ['crashcart-observer'],
  user: ['crashcart-user'],
  'user + exec': ['crashcart-user', 'authority-exec'],
  admin: ['crashcart-admin'],
  'admin + exec': ['crashcart-admin', 'authority-exec'],
};

const everybody: readonly Column[] = columns;
const lookers: readonly Column[] = ['view', 'observer', 'user', 'user + exec', 'admin', 'admin + exec'];
const makers: readonly Column[] = ['user + exec', 'admin + exec'];
const admins: readonly Column[] = ['admin + exec'];
const nobody: readonly Column[] = [];

/** `by`: how it is tried, see company.ts. */
export interface Act {
  readonly title: string;
  readonly by:
    | 'get'
    | 'list'
    | 'watch'
    | 'delete'
    | 'extend'
    | 'extendForeign'
    | 'change'
    | 'label'
    | 'status'
    | 'release'
    | 'profiles'
    | 'define'
    | Create
    | Attach;
  readonly allowed: readonly Column[];
}
export interface Create {
  readonly create: string;
}
export interface Attach {
  readonly attach: 'own' | 'foreign' | 'foreign of sysadmin';
  readonly observe?: boolean;
}

export const acts: readonly Act[] = [
  { title: 'see a session (`get`)', by: 'get', allowed: lookers },
  { title: 'see all sessions of the namespace (`list`)', by: 'list', allowed: lookers },
  { title: 'follow them (`watch`)', by: 'watch', allowed: lookers },
  // They belong to no namespace: a RoleBinding gives nothing there.
  { title: 'see the profiles', by: 'profiles', allowed: nobody },
  { title: 'start one with `general`', by: { create: 'general' }, allowed: makers },
  { title: 'start one with `baseline`', by: { create: 'baseline' }, allowed: makers },
  { title: 'start one with `restricted`', by: { create: 'restricted' }, allowed: makers },
  { title: 'start one with `netadmin`', by: { create: 'netadmin' }, allowed: admins },
  { title: 'start one with `sysadmin`', by: { create: 'sysadmin' }, allowed: admins },
  {
    title: 'start one with a profile of your own, without `use` of it',
    by: { create: 'night-shift' },
    allowed: nobody,
  },
  { title: 'attach to one’s own session', by: { attach: 'own' }, allowed: makers },
  { title: 'attach to another person’s', by: { attach: 'foreign' }, allowed: admins },
  { title: 'attach to another person’s, of `sysadmin`', by: { attach: 'foreign of sysadmin' }, allowed: admins },
  {
    title: 'read along in another person’s',
    by: { attach: 'foreign', observe: true },
    allowed: ['observer', 'admin', 'admin + exec'],
  },
  {
    title: 'end one, whoever started it (`delete`)',
    by: 'delete',
    allowed: ['user', 'user + exec', 'admin', 'admin + exec'],
  },
  { title: 'extend one’s own session (`patch` of `maxDuration`)', by: 'extend', allowed: makers },
  { title: 'extend another person’s', by: 'extendForeign', allowed: admins },
  { title: 'change anything else of its spec', by: 'change', allowed: nobody },
  { title: 'label it', by: 'label', allowed: nobody },
  { title: 'write its status', by: 'status', allowed: nobody },
  { title: 'take its finalizer off', by: 'release', allowed: nobody },
  { title: 'define a profile', by: 'define', allowed: nobody },
];

/** Everywhere else the same people may do nothing at all. */
export const elsewhere: readonly Act[] = acts
  .filter(({ by }) => typeof by === 'string' || 'create' in by)
  .filter(({ by }) => by !== 'profiles' && by !== 'define');

/** The table of docs/rights.md. */
export function markdown(): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    row(['', ...columns]),
    row(['---', ...everybody.map(() => ':-:')]),
    ...acts.map(({ title, allowed }) =>
      row([title, ...columns.map((column) => (allowed.includes(column) ? 'yes' : '–'))]),
    ),
  ].join('\n');
}
