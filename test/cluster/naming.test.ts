import { expect, test } from 'vitest';
import { deriveNaming, deriveNode, freeBlock, maxNodes, subnetCount, subnets } from './naming.ts';

test('the default cluster lives in build/cluster, any other beside it', () => {
  expect(deriveNaming('crashcart').directory).toBe('build/cluster');
  expect(deriveNaming('crashcart-e2e').directory).toBe('build/cluster-crashcart-e2e');
});

test('links fit into the fifteen characters that the kernel takes, whatever the name', () => {
  const naming = deriveNaming('a'.repeat(32));
  expect(naming.prefix.length).toBeLessThanOrEqual(15);
  expect(deriveNode(naming, maxNodes).port.length).toBeLessThanOrEqual(15);
});

test('names that are prefixes of each other share no prefix on the machine', () => {
  const prefixes = ['e2e', 'e2e-1', 'e2e-1-1'].map((name) => deriveNaming(name).prefix);
  expect(new Set(prefixes).size).toBe(3);
});

test('two checkouts may each have a cluster of one name', () => {
  expect(deriveNaming('crashcart', '/a').prefix).not.toBe(deriveNaming('crashcart', '/b').prefix);
  expect(deriveNaming('crashcart', '/a').prefix).toBe(deriveNaming('crashcart', '/a').prefix);
});

test.each(['', 'UPPER', '-a', 'a-', 'a b', '../x', 'a'.repeat(33)])('%j is refused as a name', (name) => {
  expect(() => deriveNaming(name)).toThrow(/cannot name a cluster/);
});

test('every block has a subnet of its own inside 198.18.0.0/15', () => {
  const all = Array.from({ length: subnetCount }, (_, block) => subnets(block).nodes);
  expect(new Set(all).size).toBe(subnetCount);
  expect(all.every((subnet) => /^198\.1[89]\.\d+$/.test(subnet))).toBe(true);
});

test('the host takes .1 of the subnet and the nodes follow', () => {
  const block = subnets(261);
  expect(block.host).toBe('198.19.5.1');
  expect(block.node(1)).toEqual({ ip: '198.19.5.2', pods: '10.161.1.0/24' });
  expect(block.pods).toBe('10.161.0.0/16');
});

test('a block that something on the host uses is passed over', () => {
  expect(freeBlock(5, ['198.18.5.1', '198.18.50.1', '198.18.6.0/24'])).toBe(7);
  expect(freeBlock(511, ['198.19.255.9'])).toBe(0);
});
