import { kubectl, type Outcome } from './environment.ts';

export type Spec = Record<string, unknown>;

/** A DebugSession on pod `web-0` of `default`, which need not exist, with that laid over it. */
export const session = (spec: Spec = {}, metadata: Record<string, unknown> = {}): Record<string, unknown> => ({
  apiVersion: 'crashcart.dev/v1alpha1',
  kind: 'DebugSession',
  metadata: { name: 'tried', namespace: 'default', ...metadata },
  spec: { target: { pod: { name: 'web-0' } }, ...spec },
});

/** A create that passes through defaults, schema, admission and rights on the server, and stores nothing. */
export const dryRun = (object: Record<string, unknown>, as?: string): Promise<Outcome> =>
  kubectl(['create', '--dry-run=server', '-o', 'json', '-f', '-'], {
    input: JSON.stringify(object),
    ...(as === undefined ? {} : { as }),
  });

/** kubectl's standard output; throws with its error output when it failed. */
export async function must(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await kubectl(args);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}
