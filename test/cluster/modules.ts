/** A Go module of `modules/` and what is built from it. One each: their dependencies' versions conflict. */
export interface GoModule {
  readonly name: string;
  /** Package path → name of the binary. */
  readonly packages: Readonly<Record<string, string>>;
  readonly version: string;
  readonly cgo?: true;
  readonly tags?: string;
  readonly ldflags?: string;
  /** What to expect of a first build on two cores, for the person who waits. */
  readonly firstBuild: string;
}

const named = (base: string, names: readonly string[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [`${base}/${name}`, name.split('/').at(-1) ?? name]));

const kubernetesVersion = 'v1.37.2';

/** Without these `kubectl version` and the kubelet's reported version are v0.0.0. */
function versionFlags(version: string): string {
  const [major, minor] = version.slice(1).split('.');
  const variables = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((place) => [
    `${place}.gitVersion=${version}`,
    `${place}.gitMajor=${major}`,
    `${place}.gitMinor=${minor}`,
  ]);
  return variables.map((variable) => `-X ${variable}`).join(' ');
}

/** In the order in which they are built: what takes longest first, so that the rest feels quick. */
export const modules: readonly GoModule[] = [
  {
    name: 'kubernetes',
    version: kubernetesVersion,
    packages: named('k8s.io/kubernetes/cmd', [
      'kube-apiserver',
      'kube-controller-manager',
      'kube-scheduler',
      'kube-proxy',
      'kubelet',
      'kubectl',
    ]),
    ldflags: versionFlags(kubernetesVersion),
    firstBuild: '7 min',
  },
  { name: 'etcd', version: 'v3.7.3', packages: { 'go.etcd.io/etcd/server/v3': 'etcd' }, firstBuild: '25 s' },
  {
    name: 'containerd',
    version: 'v2.4.2',
    packages: named('github.com/containerd/containerd/v2/cmd', ['containerd', 'containerd-shim-runc-v2', 'ctr']),
    firstBuild: '1 min',
  },
  {
    name: 'runc',
    version: 'v1.5.2',
    packages: { 'github.com/opencontainers/runc': 'runc' },
    cgo: true,
    tags: 'seccomp,netgo,osusergo',
    firstBuild: '10 s',
  },
  {
    name: 'cni',
    version: 'v1.9.1',
    packages: named('github.com/containernetworking/plugins/plugins', [
      'main/bridge',
      'main/loopback',
      'ipam/host-local',
      'meta/portmap',
    ]),
    firstBuild: '5 s',
  },
  { name: 'coredns', version: 'v1.14.0', packages: { '.': 'coredns' }, firstBuild: '70 s' },
  // A program of our own over client-go, for the tests of the attach API.
  { name: 'remotecommand', version: 'v0.37.2', packages: { '.': 'remotecommand' }, firstBuild: '20 s' },
  // A server of S3, for the tests of where recordings go. It checks signatures and checksums.
  {
    name: 'versitygw',
    version: 'v1.8.0',
    packages: { 'github.com/versity/versitygw/cmd/versitygw': 'versitygw' },
    firstBuild: '80 s',
  },
  { name: 'helm', version: 'v4.3.1', packages: { 'helm.sh/helm/v4/cmd/helm': 'helm' }, firstBuild: '2 min' },
];

/** Arguments of `go` for the module; `output` is an existing directory. */
export function buildArguments(module: GoModule, output: string): string[] {
  const ldflags = ['-s', '-w', module.ldflags].filter(Boolean).join(' ');
  const tags = module.tags ? ['-tags', module.tags] : [];
  const names = Object.values(module.packages);
  // With a single package the name is ours to give; with several, go names each after the end of its path.
  const target = names.length === 1 ? `${output}/${names[0]}` : `${output}/`;
  return ['build', '-trimpath', ...tags, '-ldflags', ldflags, '-o', target, ...Object.keys(module.packages)];
}

/** The module that a binary is built from. */
export function moduleOf(binary: string): GoModule | undefined {
  return modules.find((module) => Object.values(module.packages).includes(binary));
}
