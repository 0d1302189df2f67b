import { expect, test } from 'vitest';
import { must } from '../support/dry-run.ts';
import { cluster, crashcartTerminal } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { loseTunnels } from '../support/lost-tunnels.ts';
import { metricsOf } from '../support/metrics.ts';
import { allLines, linesShown, sayLines } from '../support/numbered-lines.ts';
import { startSwallowingProxy } from '../support/swallowing-proxy.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

// A peer whose packets are lost, or that stands still, closes nothing. Whoever waits for it must see it within 30 s.

nothingLeftAfterEach();

/** 30 s, and what it takes here to ask. */
const seenMs = 36_000;
const attached = async (): Promise<number> =>
  (await metricsOf('controller', 'crashcart_attaches')).reduce((total, each) => total + each, 0);

test('between the plugin and the API server: the plugin says so, comes back by another connection, and the shell is there', async () => {
  using proxy = await startSwallowingProxy();
  const env = { HTTPS_PROXY: proxy.url, NO_PROXY: '' };
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools'], { env });
  terminal.enter('mark=kept$((40+2)); echo $mark');
  await terminal.expect(/kept42/, 30_000);
  proxy.swallow();
  terminal.enter('echo "again $mark"');
  await terminal.expect(/connection lost/, seenMs);
  await terminal.expect(/connected again/, 30_000);
  await terminal.expect(/again kept42/, 30_000);
  terminal.enter('exit 5');
  expect(await terminal.exit(30_000)).toBe(5);
}, 120_000);

test('between the gateway and a client that stands still: the gateway lets go of it, and it comes back when it moves again', async () => {
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools']);
  terminal.enter('mark=kept$((40+2)); echo $mark');
  await terminal.expect(/kept42/, 30_000);
  await eventually(async () => expect(await attached()).toBe(1));
  terminal.kill('SIGSTOP');
  await eventually(async () => expect(await attached()).toBe(0), seenMs);
  terminal.kill('SIGCONT');
  await terminal.expect(/connected again/, 30_000);
  terminal.enter('echo "again $mark"; exit 5');
  await terminal.expect(/again kept42/, 30_000);
  expect(await terminal.exit(30_000)).toBe(5);
}, 120_000);

test('between the agent and the gateway: both let go of the tunnel, and the stream comes back by another one with nothing lost', async () => {
  const nodeName = await must('get', 'pod', 'box', '-n', 'tools', '-o', 'jsonpath={.spec.nodeName}');
  const node = cluster().nodes.find(({ name }) => name === nodeName);
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools']);
  terminal.enter('stty -echo; PS1=; mark=kept$((40+2)); echo $mark');
  await terminal.expect(/kept42/, 30_000);
  // It speaks for longer than it takes to see it.
  const lines = 450;
  terminal.enter(sayLines(lines));
  await terminal.expect(/line 5\./, 30_000);
  await using _lost = await loseTunnels(node!);
  const lostAt = performance.now();
  await terminal.expect(/connection lost/, seenMs);
  const seen = performance.now() - lostAt;
  await terminal.expect(/connected again/, 30_000);
  const back = performance.now() - lostAt;
  console.log(`seen ${Math.round(seen)} ms after the packets were lost, there again ${Math.round(back)} ms after`);
  await terminal.expect(/all said/, 120_000);
  expect(linesShown(terminal.transcript)).toEqual(allLines(lines));
  terminal.enter('echo "again $mark"; exit 5');
  await terminal.expect(/again kept42/, 30_000);
  expect(await terminal.exit(30_000)).toBe(5);
}, 200_000);
