import { must } from './dry-run.ts';

/** The Events of a namespace, a line each: these fields of each, a space between. `args` are kubectl's, such as a selector. */
export const eventLines = (namespace: string, fields: readonly string[], ...args: readonly string[]): Promise<string> =>
  must(
    'get',
    'events',
    '-n',
    namespace,
    ...args,
    '-o',
    `jsonpath={range .items[*]}${fields.map((field) => `{.${field}}`).join(' ')}{"\\n"}{end}`,
  );
