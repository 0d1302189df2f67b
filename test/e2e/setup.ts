import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { type Cluster, down, open, up } from '../cluster/cluster.ts';
import type { ClusterFacts } from '../support/environment.ts';
import { builtImages, installCrashcart } from '../support/install.ts';
import { run } from '../support/run.ts';
import { quick } from './values.ts';

/**
 * A cluster of the tests' own, so that a person's may go on running beside it. With `CRASHCART_KEEP=1` it stays for a look afterwards,
 * and the next run with it uses it again.
 */
const name = 'crashcart-test';
const keep = (): boolean => Boolean(process.env['CRASHCART_KEEP']);

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const images = await builtImages();
  const cluster = await bringUp([images.crashcart.tar, images.toolbox.tar]);
  const facts: ClusterFacts = {
    name,
    kubeconfig: cluster.kubeconfig,
    auditLog: cluster.auditLog,
    nodes: cluster.nodes.map((node) => ({ name: node.name, pid: node.pid })),
    tools: {
      kubectl: cluster.bin('kubectl'),
      helm: cluster.bin('helm'),
      crashcart: join(import.meta.dirname, '../../build/bin/kubectl-crashcart'),
    },
  };
  try {
    await installCrashcart({ ...facts.tools, kubeconfig: facts.kubeconfig, values: quick });
    await applyWorkloads(facts);
  } catch (error) {
    if (!keep()) await down(name);
    throw error;
  }
  project.provide('cluster', facts);
  return async () => {
    if (!keep()) await down(name);
  };
}

async function applyWorkloads({ tools, kubeconfig }: ClusterFacts): Promise<void> {
  const env = { ...process.env, KUBECONFIG: kubeconfig };
  const kubectl = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await run(tools.kubectl, args, { env, timeoutMs: 120_000 });
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  };
  await kubectl('apply', '-f', join(import.meta.dirname, 'manifests/namespaces.yaml'));
  for (const namespace of ['shop', 'tools']) {
    await kubectl('wait', '-n', namespace, '--for=create', '--timeout=30s', 'serviceaccount/default');
  }
  await kubectl('apply', '-f', join(import.meta.dirname, 'manifests/workloads.yaml'));
  await kubectl('rollout', 'status', '-n', 'shop', 'deployment/checkout', '--timeout=90s');
  for (const [namespace, pods] of [
    ['shop', ['pod/cart-0']],
    ['tools', ['pod/box', 'pod/mapped', 'pod/pair']],
  ] as const) {
    await kubectl('wait', '-n', namespace, '--for=condition=Ready', '--timeout=90s', ...pods);
  }
}

async function bringUp(images: readonly string[]): Promise<Cluster> {
  if (keep()) {
    try {
      const cluster = open(name);
      for (const image of images) await cluster.importImage(image);
      return cluster;
    } catch {
      // There is none: bring one up.
    }
  }
  return up({ name, images });
}
