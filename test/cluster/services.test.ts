import { expect, test } from 'vitest';
import { bootstrapObjects, controlPlane, nodeServices } from './services.ts';

const at = {
  state: '/state',
  directory: '/state/nodes/a',
  node: 'a',
  ip: '198.18.0.2',
  bin: (name: string) => `/bin/${name}`,
};

test('the aggregation layer trusts an authority of its own, not the one of client certificates', () => {
  const flags = controlPlane['kube-apiserver']!(at);
  expect(flags).toContain('--client-ca-file=/state/pki/ca.crt');
  expect(flags).toContain('--requestheader-client-ca-file=/state/pki/front-proxy-ca.crt');
  expect(flags).toContain('--enable-aggregator-routing=true');
});

test('requests are authorised, by Node and RBAC only, and audited below the cluster directory', () => {
  const flags = controlPlane['kube-apiserver']!(at);
  expect(flags).toContain('--authorization-mode=Node,RBAC');
  expect(flags).toContain('--audit-log-path=/state/log/audit.log');
});

test('no flag is given twice to any program', () => {
  for (const service of Object.values({ ...controlPlane, ...nodeServices })) {
    const names = service(at).map((argument) => argument.split('=')[0]);
    expect(new Set(names).size).toBe(names.length);
  }
});

test('the DNS service has the address that kubelets tell their pods and leads to the server given', () => {
  const objects = bootstrapObjects('198.18.0.2');
  expect(objects).toContainEqual(
    expect.objectContaining({ kind: 'Service', spec: expect.objectContaining({ clusterIP: '10.96.0.10' }) }),
  );
  expect(objects).toContainEqual(
    expect.objectContaining({ endpoints: [expect.objectContaining({ addresses: ['198.18.0.2'] })] }),
  );
});
