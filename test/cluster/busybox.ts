import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './command.ts';

/** The program of Debian's busybox-static. The package itself is not installed: it conflicts with `busybox`. */
export async function busyboxStatic(): Promise<Buffer> {
  const scratch = mkdtempSync(join(tmpdir(), 'crashcart-busybox-'));
  try {
    await run('apt-get', ['-o', 'APT::Sandbox::User=root', 'download', 'busybox-static'], { cwd: scratch });
    const [archive] = readdirSync(scratch);
    await run('dpkg-deb', ['--extract', join(scratch, archive ?? ''), join(scratch, 'root')]);
    return readFileSync(join(scratch, 'root/bin/busybox'));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
