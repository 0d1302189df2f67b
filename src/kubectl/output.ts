import { printable } from '../base/text.ts';
import { usage } from './command-line.ts';
import type { Host } from './host.ts';

/** `-o json` and `-o yaml`, with whatever comes from the cluster made safe for terminals. */
export async function printObject({ stdout }: Pick<Host, 'stdout'>, format: string, value: object): Promise<void> {
  switch (format) {
    case 'json':
      // JSON escapes C0 itself; the rest is escaped for terminals, as JSON allows it.
      stdout.write(`${printable(JSON.stringify(value, null, 4))}\n`);
      return;
    case 'yaml': {
      const { dump } = await import('js-yaml');
      stdout.write(printable(dump(value, { noRefs: true, lineWidth: -1, skipInvalid: true })));
      return;
    }
    default:
      throw usage(`-o ${format} is not for this verb`);
  }
}
