import { closeSync, openSync } from 'node:fs';
import { SyscallError } from './errno.ts';
import { closeAll, type Fd, invoke, type Kernel } from './kernel.ts';
import { mountDetached } from './mount.ts';

const request = { configure: 0x4c0a, getFree: 0x4c82 } as const;
const flags = { readOnly: 0x1, autoClear: 0x4 } as const;
const open = { readWrite: 0x2, readOnly: 0x0, closeOnExec: 0o2000000 } as const;
/** Another process may take the free device between asking and configuring. */
const attempts = 16;

export interface LoopDevice extends Disposable {
  /** `/dev/loop3` as this process sees it. */
  readonly path: string;
}

/**
 * Puts a file behind a read-only loop device that the kernel frees by itself after the last use. For kernels whose erofs cannot mount
 * a file (before 6.12). Dispose of it once it is mounted. The agent's own /dev need not have loop devices: a devtmpfs of our own does.
 */
export function attachLoop(kernel: Kernel, file: string): LoopDevice {
  const dev = mountDetached(kernel, { type: 'devtmpfs', options: {}, attributes: 0 });
  const backing = openSync(file, 'r');
  try {
    for (let attempt = 1; ; attempt++) {
      const number = freeDevice(kernel, dev);
      const device = openIn(kernel, dev, `loop${number}`, open.readWrite);
      try {
        configure(kernel, device, backing);
        // Through our own descriptors: the path stays right whatever /dev looks like here.
        return {
          path: `/proc/self/fd/${dev}/loop${number}`,
          [Symbol.dispose]: () => closeAll(kernel, device, dev),
        };
      } catch (error) {
        closeAll(kernel, device);
        if (!(error instanceof SyscallError) || error.code !== 'EBUSY' || attempt === attempts) throw error;
      }
    }
  } catch (error) {
    closeAll(kernel, dev);
    throw error;
  } finally {
    closeSync(backing);
  }
}

function freeDevice(kernel: Kernel, dev: Fd): number {
  const control = openIn(kernel, dev, 'loop-control', open.readWrite);
  try {
    return invoke(kernel, 'ioctl', 'loop-control, LOOP_CTL_GET_FREE', control, request.getFree);
  } finally {
    closeAll(kernel, control);
  }
}

const openIn = (kernel: Kernel, directory: Fd, name: string, mode: number): Fd =>
  invoke(kernel, 'openat', `devtmpfs, ${name}`, directory, name, mode | open.closeOnExec, 0) as Fd;

function configure(kernel: Kernel, device: Fd, backing: number): void {
  const config = Buffer.alloc(304); // struct loop_config: fd, block_size, struct loop_info64, reserved
  config.writeUInt32LE(backing, 0);
  config.writeUInt32LE(flags.readOnly | flags.autoClear, 8 + 52); // lo_flags
  invoke(kernel, 'ioctl', 'LOOP_CONFIGURE', device, request.configure, config);
}
