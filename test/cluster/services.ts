import { join } from 'node:path';
import { dnsAddress, serviceSubnet } from './naming.ts';

/** A program with its arguments, as the node's pid 1 starts it. */
export type Service = readonly string[];

/** What every command line depends on. `state` is the cluster's directory. */
export interface Surroundings {
  readonly state: string;
  readonly bin: (program: string) => string;
}

export interface NodeSurroundings extends Surroundings {
  readonly node: string;
  readonly ip: string;
  /** The node's own directory. */
  readonly directory: string;
}

const pki = (state: string, file: string): string => join(state, 'pki', file);
const etc = (state: string, file: string): string => join(state, 'etc', file);
const etcdAddress = 'http://127.0.0.1:2379';

export const apiPort = 6443;

/** The control plane; it runs on the first node only. */
export const controlPlane: Readonly<Record<string, (at: NodeSurroundings) => Service>> = {
  etcd: ({ bin, state }) => [
    bin('etcd'),
    `--data-dir=${join(state, 'etcd')}`,
    `--listen-client-urls=${etcdAddress}`,
    `--advertise-client-urls=${etcdAddress}`,
    '--listen-peer-urls=http://127.0.0.1:2380',
    '--unsafe-no-fsync', // a test cluster's data need not outlive a power cut
    '--log-level=warn',
  ],
  'kube-apiserver': ({ bin, state, ip }) => [
    bin('kube-apiserver'),
    `--etcd-servers=${etcdAddress}`,
    `--secure-port=${apiPort}`,
    `--advertise-address=${ip}`,
    `--service-cluster-ip-range=${serviceSubnet}`,
    '--allow-privileged=true',
    `--client-ca-file=${pki(state, 'ca.crt')}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    `--tls-cert-file=${pki(state, 'kube-apiserver.crt')}`,
    `--tls-private-key-file=${pki(state, 'kube-apiserver.key')}`,
    `--kubelet-certificate-authority=${pki(state, 'ca.crt')}`,
    `--kubelet-client-certificate=${pki(state, 'kubelet-client.crt')}`,
    `--kubelet-client-key=${pki(state, 'kubelet-client.key')}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${pki(state, 'service-account.pub')}`,
    `--service-account-signing-key-file=${pki(state, 'service-account.key')}`,
    // The aggregation layer has an authority of its own: a client certificate of the cluster's must not pass as a proxy.
    `--requestheader-client-ca-file=${pki(state, 'front-proxy-ca.crt')}`,
    '--requestheader-allowed-names=front-proxy-client',
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-uid-headers=X-Remote-Uid',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    `--proxy-client-cert-file=${pki(state, 'front-proxy-client.crt')}`,
    `--proxy-client-key-file=${pki(state, 'front-proxy-client.key')}`,
    '--enable-aggregator-routing=true', // APIServices go to pods directly: a Service's address is unknown out here
    `--audit-policy-file=${etc(state, 'audit-policy.yaml')}`,
    `--audit-log-path=${join(state, 'log', 'audit.log')}`,
    '--audit-log-maxsize=200',
    '--audit-log-maxbackup=1',
  ],
  'kube-controller-manager': ({ bin, state }) => [
    bin('kube-controller-manager'),
    `--kubeconfig=${etc(state, 'kube-controller-manager.kubeconfig')}`,
    '--use-service-account-credentials=true',
    // Every controller asks for an account at the start; at the default rate that alone takes five seconds.
    '--kube-api-qps=200',
    '--kube-api-burst=400',
    '--flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins', // made if absent: not on the host
    '--leader-elect=false',
    `--service-account-private-key-file=${pki(state, 'service-account.key')}`,
    `--root-ca-file=${pki(state, 'ca.crt')}`,
    `--cluster-signing-cert-file=${pki(state, 'ca.crt')}`,
    `--cluster-signing-key-file=${pki(state, 'ca.key')}`,
  ],
  'kube-scheduler': ({ bin, state }) => [
    bin('kube-scheduler'),
    `--kubeconfig=${etc(state, 'kube-scheduler.kubeconfig')}`,
    '--leader-elect=false',
  ],
  coredns: ({ bin, state }) => [bin('coredns'), '-conf', etc(state, 'Corefile')],
};

/** What runs on every node. */
export const nodeServices: Readonly<Record<string, (at: NodeSurroundings) => Service>> = {
  containerd: ({ bin, directory }) => [bin('containerd'), '--config', join(directory, 'etc', 'containerd.toml')],
  kubelet: ({ bin, directory, node, ip }) => [
    bin('kubelet'),
    `--config=${join(directory, 'etc', 'kubelet.yaml')}`,
    `--kubeconfig=${join(directory, 'etc', 'kubelet.kubeconfig')}`,
    `--hostname-override=${node}`,
    `--node-ip=${ip}`,
  ],
  'kube-proxy': ({ bin, directory }) => [bin('kube-proxy'), `--config=${join(directory, 'etc', 'kube-proxy.yaml')}`],
};

export const auditPolicy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata' }],
};

export const corefile = (state: string, ip: string): string => `.:53 {
  bind ${ip}
  errors
  ready ${ip}:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig "${etc(state, 'coredns.kubeconfig')}"
    pods insecure
  }
}
`;

/** Objects that a cluster has before anybody uses it: rights of kube-proxy and CoreDNS, and the Service of DNS. */
export function bootstrapObjects(dnsServer: string): readonly object[] {
  const rbac = 'rbac.authorization.k8s.io';
  const binding = (name: string, role: string): object => ({
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name },
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup: rbac, kind: 'User', name }],
  });
  const dns = { namespace: 'kube-system', name: 'kube-dns' };
  const ports = [
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'dns-tcp', port: 53, protocol: 'TCP' },
  ];
  return [
    binding('system:kube-proxy', 'system:node-proxier'),
    binding('system:coredns', 'system:coredns'),
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRole',
      metadata: { name: 'system:coredns' },
      rules: [
        { apiGroups: [''], resources: ['services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
      ],
    },
    { apiVersion: 'v1', kind: 'Service', metadata: dns, spec: { clusterIP: dnsAddress, ports } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...dns, labels: { 'kubernetes.io/service-name': dns.name } },
      addressType: 'IPv4',
      endpoints: [{ addresses: [dnsServer], conditions: { ready: true } }],
      ports,
    },
  ];
}
