import { Terminal } from '../support/terminal.ts';
import type { Stage } from './stage.ts';
import { workload } from './workload.ts';

/** What a visitor types, and what must be seen for the visit to count. The patterns match answers, never the echo of the command. */
const visit: ReadonlyArray<readonly [command: string, answer: RegExp]> = [
  ['id -u; id -g', /65532\s+65532/],
  ['tty', /\/dev\/pts\/\d+/],
  ['cat /proc/1/comm', /^node|\nnode|MainThread/],
  ['ls /', /usr/],
  ['touch /x || echo refused: $?', /refused: 1/],
  ['ss -tln', /LISTEN .*:8080/],
  ['curl -s localhost:8080', /checkout is fine/],
  ['ls /dev/crashcart/bin | wc -l', /^[5-9]\d\d\s/m],
];

/** Plays the visit in a real terminal, shows it as it happens, and gives 0 only if all of it worked. */
export async function scriptedVisit(plugin: string, stage: Stage, say: (text: string) => void): Promise<number> {
  say(`\n==> No terminal here, so a scripted visit: kubectl crashcart pod/${workload.pod} -n ${workload.namespace}\n`);
  using terminal = new Terminal(plugin, [`pod/${workload.pod}`, '-n', workload.namespace], {
    env: { KUBECONFIG: stage.kubeconfig },
  });
  try {
    await terminal.expect(/[$#] $/, 30_000);
    for (const [command, answer] of visit) {
      terminal.enter(command);
      await terminal.expect(/\r\n/);
      await terminal.expect(answer);
      await terminal.expect(/[$#] $/);
    }
    terminal.enter('exit 7');
    const code = await terminal.exit();
    say(terminal.transcript);
    if (code !== 7) throw new Error(`the shell ended with 7, but the plugin with ${code}`);
  } catch (error) {
    say(terminal.transcript);
    throw error;
  }
  say('\n==> All of it worked: a prompt, a terminal, the tools, the container’s own files, and the exit code 7.');
  return 0;
}
