/** Paths of the API: `resourcePath('apps/v1', 'deployments', {namespace: 'a', name: 'b'})` → `/apis/apps/v1/namespaces/a/deployments/b`. */
export function resourcePath(
  apiVersion: string,
  plural: string,
  where: { readonly namespace?: string; readonly name?: string; readonly subresource?: string } = {},
): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const parts = [
    ...(where.namespace === undefined ? [] : ['namespaces', where.namespace]),
    plural,
    ...(where.name === undefined ? [] : [where.name]),
    ...(where.subresource === undefined ? [] : [where.subresource]),
  ];
  return `${root}/${parts.map(encodeURIComponent).join('/')}`;
}
