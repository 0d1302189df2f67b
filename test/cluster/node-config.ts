import { join } from 'node:path';
import { stringify } from 'yaml';
import { dnsAddress } from './naming.ts';
import type { NodeSurroundings } from './services.ts';

export interface NodeConfig extends NodeSurroundings {
  readonly cgroup: string;
  /** The node's part of the pod network and the whole of it. */
  readonly podSubnet: string;
  readonly clusterSubnet: string;
  readonly cniDirectory: string;
}

/** Configuration files of a node, by name below its `etc`. */
export function nodeConfigFiles(config: NodeConfig): Readonly<Record<string, string>> {
  return {
    'containerd.toml': containerd(config),
    'kubelet.yaml': stringify(kubelet(config)),
    'kube-proxy.yaml': stringify(kubeProxy(config)),
    'cni/10-bridge.conflist': JSON.stringify(bridge(config), undefined, 2),
  };
}

const containerd = ({ bin, directory, cniDirectory }: NodeConfig): string => `version = 3
disabled_plugins = ['io.containerd.nri.v1.nri']

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'localhost/pause:1'

[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  # runc may not lower oom_score_adj without CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '${bin('runc')}'
  SystemdCgroup = false

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['${cniDirectory}']
  conf_dir = '${join(directory, 'etc', 'cni')}'
`;

const kubelet = ({ state, directory, cgroup }: NodeConfig): object => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  authentication: {
    anonymous: { enabled: false },
    webhook: { enabled: true },
    x509: { clientCAFile: join(state, 'pki', 'ca.crt') },
  },
  authorization: { mode: 'Webhook' },
  tlsCertFile: join(directory, 'etc', 'kubelet.crt'),
  tlsPrivateKeyFile: join(directory, 'etc', 'kubelet.key'),
  containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
  cgroupDriver: 'cgroupfs',
  // Kubelets that share a cgroup root take each other's pods for leftovers and remove them.
  cgroupRoot: `/${cgroup}`,
  failCgroupV1: false,
  failSwapOn: false,
  clusterDNS: [dnsAddress],
  clusterDomain: 'cluster.local',
  resolvConf: '',
  volumePluginDir: '/var/lib/kubelet/volume-plugins',
  evictionHard: { 'nodefs.available': '1%', 'imagefs.available': '1%', 'memory.available': '100Mi' },
  // Images come from files: one that was collected as garbage could not be pulled again.
  imageGCHighThresholdPercent: 100,
  imageMaximumGCAge: '0s',
});

const kubeProxy = ({ state, node, clusterSubnet }: NodeConfig): object => ({
  apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
  kind: 'KubeProxyConfiguration',
  clientConnection: { kubeconfig: join(state, 'etc', 'kube-proxy.kubeconfig') },
  mode: 'nftables',
  clusterCIDR: clusterSubnet,
  hostnameOverride: node,
  // Zero leaves the kernel's own limits, which belong to the whole machine.
  conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
});

const bridge = ({ podSubnet }: NodeConfig): object => ({
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cni0',
      isGateway: true,
      ipMasq: false,
      hairpinMode: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: podSubnet }]], routes: [{ dst: '0.0.0.0/0' }] },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});
