import { builtImages, inRegistry, type Target } from '../support/install.ts';
import { run } from '../support/run.ts';

export const workload = { namespace: 'crashcart-demo', pod: 'checkout' } as const;

/**
 * A service as one finds it at 3 a.m.: no shell, no tools, not root, nothing writable. It runs from Crashcart's own image, which is
 * distroless too, so that a person's cluster needs no third image.
 */
const server = "require('node:http').createServer((_, answer) => answer.end('checkout is fine\\n')).listen(8080)";

const manifests = (image: string): readonly object[] => [
  {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: workload.namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  },
  {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: workload.pod, namespace: workload.namespace, labels: { app: workload.pod } },
    spec: {
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'server',
          image,
          imagePullPolicy: 'IfNotPresent',
          command: ['/usr/bin/node', '-e', server],
          readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 },
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
        },
      ],
    },
  },
];

export async function applyWorkload(target: Target): Promise<void> {
  const image = inRegistry((await builtImages()).crashcart.ref, target.registry);
  const env = { ...process.env, KUBECONFIG: target.kubeconfig };
  const kubectl = async (args: readonly string[], input = ''): Promise<string> => {
    const { code, stdout, stderr } = await run(target.kubectl, args, { env, input, timeoutMs: 120_000 });
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  // A pod's image cannot be changed to a newer build in place.
  const running = await kubectl([
    'get',
    'pod',
    workload.pod,
    '-n',
    workload.namespace,
    '--ignore-not-found',
    '-o',
    'jsonpath={.spec.containers[0].image}',
  ]);
  if (running !== '' && running !== image) await kubectl(['delete', 'pod', workload.pod, '-n', workload.namespace]);
  const [namespace, pod] = manifests(image);
  await kubectl(['apply', '-f', '-'], JSON.stringify(namespace));
  // The API server refuses pods until the namespace has its service account.
  await kubectl(['wait', '-n', workload.namespace, '--for=create', '--timeout=30s', 'serviceaccount/default']);
  await kubectl(['apply', '-f', '-'], JSON.stringify(pod));
  await kubectl(['wait', '-n', workload.namespace, '--for=condition=Ready', '--timeout=90s', `pod/${workload.pod}`]);
}
