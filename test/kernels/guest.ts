/** A virtual machine with a kernel of its own and this machine's files, in software: no /dev/kvm is needed. */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { busyboxStatic } from '../cluster/busybox.ts';
import type { DebianKernel } from './debian-kernel.ts';
import { type InitialFile, initramfs } from './initramfs.ts';

const project = join(import.meta.dirname, '../..');
const memoryMegabytes = 3072;
const diskBytes = 4 * 1024 ** 3;

export interface Guest {
  readonly kernel: DebianKernel;
  readonly cgroups: 'v2' | 'hybrid';
  /** A shell script; what it writes to /run/out arrives in `out`. */
  readonly command: string;
  /** A directory for this run alone. */
  readonly out: string;
  readonly timeoutMs: number;
}

/** Boots, runs the command, and is gone. Its exit code; throws Timeout or Internal, with the end of the console, when it never ended. */
export async function runInGuest(guest: Guest): Promise<number> {
  const { kernel, cgroups, out, timeoutMs } = guest;
  mkdirSync(join(out, 'share'), { recursive: true });
  const [ramfs, disk, console] = ['initramfs', 'disk', 'console'].map((name) => join(out, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(join(out, 'share/command'), guest.command);
  writeFileSync(ramfs, initramfs(await initialFiles(kernel)));
  closeSync(openSync(disk, 'w'));
  truncateSync(disk, diskBytes);
  execFileSync('mkfs.ext4', ['-q', '-F', disk]);
  const line = `console=ttyS0 quiet panic=-1 crashcart.cgroups=${cgroups} crashcart.directory=${project}`;
  const share = (path: string, tag: string, more: string): string =>
    `local,path=${path},mount_tag=${tag},security_model=none,multidevs=remap${more}`;
  const qemu = spawn(
    'qemu-system-x86_64',
    [
      ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', `${memoryMegabytes}`],
      ...['-nodefaults', '-no-reboot', '-display', 'none', '-serial', `file:${console}`],
      ...['-kernel', kernel.image, '-initrd', ramfs, '-append', line],
      ...['-drive', `file=${disk},format=raw,if=virtio,cache=unsafe`],
      ...['-virtfs', share('/', 'machine', ',readonly=on'), '-virtfs', share(join(out, 'share'), 'out', '')],
    ],
    { stdio: ['ignore', 'inherit', 'inherit'], timeout: timeoutMs, killSignal: 'SIGKILL' },
  );
  const end = await new Promise<string>((resolve, reject) => {
    qemu.once('error', (cause) =>
      reject(
        new CrashcartError(reasons.Unavailable, 'Cannot start qemu-system-x86_64: run ./preflight.sh kernels.', {
          cause,
        }),
      ),
    );
    qemu.once('exit', (code, signal) => resolve(signal ?? `${code}`));
  });
  try {
    return Number(readFileSync(join(out, 'share/code'), 'utf8'));
  } catch (cause) {
    const said = readFileSync(console, 'utf8').slice(-3000);
    const message = `The guest with ${kernel.name} never ended its command (qemu: ${end}); its console ends with:\n${said}`;
    throw new CrashcartError(reasons.Internal, message, { cause });
  }
}

async function initialFiles(kernel: DebianKernel): Promise<readonly InitialFile[]> {
  return [
    { path: 'dev/console', device: [5, 1], mode: 0o600 },
    { path: 'bin/busybox', content: await busyboxStatic(), mode: 0o755 },
    { path: 'init', content: readFileSync(join(import.meta.dirname, 'init.sh')), mode: 0o755 },
    { path: 'modules/order', content: Buffer.from(kernel.modules.map((name) => `${name}\n`).join('')), mode: 0o644 },
    ...kernel.modules.map((name) => ({
      path: `modules/${name}`,
      content: readFileSync(join(kernel.modulesDirectory, name)),
      mode: 0o644,
    })),
  ];
}
