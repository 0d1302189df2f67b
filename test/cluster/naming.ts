import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { CrashcartError, reasons } from '../../src/base/errors.ts';

/** The cluster that `make cluster` brings up and that people use. Tests take other names. */
export const defaultName = 'crashcart';

/** How many clusters' subnets exist: 198.18.0.0/15 (RFC 2544, benchmarks) in blocks of /24. */
export const subnetCount = 512;
export const maxNodes = 9;

/** Everything that a cluster's name decides. Two names that differ never share any of it, nor do two checkouts. */
export interface Naming {
  readonly name: string;
  /**
   * `cc-` and eight hex digits: the host's link to the cluster is called so, and so is the cgroup that holds all of it,
   * so that a sweep needs to know nothing else.
   */
  readonly prefix: string;
  /** Below the repository: state, logs, kubeconfig. */
  readonly directory: string;
  /** Which of the 512 subnets to try first. */
  readonly preferredSubnet: number;
}

export interface NodeNaming {
  /** `NAME-1`, also its host name. */
  readonly name: string;
  readonly index: number;
  /** Its port at the switch, which has a network namespace of its own. */
  readonly port: string;
  /** Path of the node's cgroup in every hierarchy: `PREFIX/NAME-1`. */
  readonly cgroup: string;
}

export interface Subnets {
  readonly host: string;
  /** The bridge's and nodes' subnet, a /24: `198.18.7`. */
  readonly nodes: string;
  /** All pods, a /16; each node has a /24 of it. */
  readonly pods: string;
  readonly node: (index: number) => { readonly ip: string; readonly pods: string };
}

const namePattern = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;

export const repository = resolve(import.meta.dirname, '../..');

/** Throws Invalid unless `name` is a lower-case DNS label of at most 32 characters. */
export function deriveNaming(name: string, checkout = repository): Naming {
  if (!namePattern.test(name)) {
    const message = `'${name}' cannot name a cluster: use lower-case letters, digits and dashes, at most 32 of them.`;
    throw new CrashcartError(reasons.Invalid, message);
  }
  const digest = createHash('sha256').update(`${name}\n${checkout}`).digest();
  const prefix = `cc-${digest.toString('hex').slice(0, 8)}`;
  return {
    name,
    prefix,
    directory: name === defaultName ? 'build/cluster' : `build/cluster-${name}`,
    preferredSubnet: digest.readUInt16BE(8) % subnetCount,
  };
}

export function deriveNode(naming: Naming, index: number): NodeNaming {
  const name = `${naming.name}-${index}`;
  return { name, index, port: `port${index}`, cgroup: `${naming.prefix}/${name}` };
}

/** Addresses of one of the 512 blocks. Services are 10.96.0.0/16 in every cluster: they exist inside its nodes only. */
export function subnets(block: number): Subnets {
  const nodes = `198.${18 + (block >> 8)}.${block & 255}`;
  // Pod addresses exist inside the nodes only too; different ones make logs of neighbouring clusters tell apart.
  const pods = `10.${100 + (block % 100)}`;
  return {
    host: `${nodes}.1`,
    nodes,
    pods: `${pods}.0.0/16`,
    node: (index) => ({ ip: `${nodes}.${index + 1}`, pods: `${pods}.${index}.0/24` }),
  };
}

/** The first block from the preferred one on that nothing on the host uses. `used` holds addresses and route targets. */
export function freeBlock(preferred: number, used: readonly string[]): number {
  for (let step = 0; step < subnetCount; step++) {
    const block = (preferred + step) % subnetCount;
    if (!used.some((address) => address.startsWith(`${subnets(block).nodes}.`))) return block;
  }
  throw new CrashcartError(
    reasons.Unavailable,
    'All of 198.18.0.0/15 is in use here: take another cluster down first.',
  );
}

export const serviceSubnet = '10.96.0.0/16';
export const apiServiceAddress = '10.96.0.1';
export const dnsAddress = '10.96.0.10';
