import { describe, expect, it } from 'vitest';
import { allCapabilities, capabilityMask, capabilityNames } from './capabilities.ts';
import { assemble, harmlessDevices, loadDeviceFilter } from './device-filter.ts';
import { errnoName, hasErrno, SyscallError } from './errno.ts';
import { callNumber, type Fd, invoke, type Kernel, type Pid } from './kernel.ts';
import { openPidfd, pidfdHasExited, signalPidfd } from './pidfd.ts';
import { probeKernel } from './probe.ts';

const kernelThat = (syscall: Kernel['syscall']): Kernel => ({ syscall, address: () => 0n });

describe('a system call', () => {
  it('that fails throws an error with its name, operands and errno', () => {
    const kernel = kernelThat(() => -3);
    expect(() => openPidfd(kernel, 42 as Pid)).toThrow(new SyscallError('pidfd_open', '42', 3));
    expect(new SyscallError('pidfd_open', '42', 3).message).toBe('pidfd_open(42): ESRCH');
    expect(() => invoke(kernel, 'close', '')).toThrow(expect.objectContaining({ code: 'ESRCH', errno: 3 }));
  });

  it('has the number of its architecture', () => {
    expect(callNumber('ioctl', 'x64')).toBe(16);
    expect(callNumber('ioctl', 'arm64')).toBe(29);
    expect(callNumber('openat2', 'arm64')).toBe(437);
  });
});

describe('errnos', () => {
  it('have names, and numbers where there is none', () => {
    expect([30, 15, 5000].map(errnoName)).toEqual(['EROFS', 'ENOTBLK', 'errno 5000']);
  });

  it('are recognised on our errors and on those of Node', () => {
    expect(hasErrno(new SyscallError('open', '', 2), 'ENOENT')).toBe(true);
    expect(hasErrno(Object.assign(new Error('x'), { code: 'ENOENT' }), 'ESRCH')).toBe(false);
    expect(hasErrno('ENOENT', 'ENOENT')).toBe(false);
  });
});

describe('pidfds', () => {
  it('tell an exit from the poll, and a signal to nobody from other errors', () => {
    expect(
      pidfdHasExited(
        kernelThat(() => 1),
        3 as Fd,
      ),
    ).toBe(true);
    expect(
      pidfdHasExited(
        kernelThat(() => 0),
        3 as Fd,
      ),
    ).toBe(false);
    expect(
      signalPidfd(
        kernelThat(() => -3),
        3 as Fd,
        'SIGKILL',
      ),
    ).toBe(false);
    expect(() =>
      signalPidfd(
        kernelThat(() => -1),
        3 as Fd,
        'SIGKILL',
      ),
    ).toThrow('EPERM');
  });
});

describe('the probe', () => {
  it('takes "no such call" for absence and every other error for presence', async () => {
    const old = await probeKernel(kernelThat(() => -38));
    expect(Object.values(old).every((has) => !has)).toBe(true);
    const modern = await probeKernel(kernelThat(() => -22));
    expect(modern).toMatchObject({ pidfd: true, openat2: true, mountApi: true, erofs: false, cgroupKill: false });
  });
});

describe('capability sets', () => {
  it('are the kernel’s numbers, with or without the prefix', () => {
    expect(capabilityMask(['CAP_CHOWN', 'SYS_ADMIN'])).toBe(0x200001n);
    expect(capabilityNames(0x200001n)).toEqual(['CAP_CHOWN', 'CAP_SYS_ADMIN']);
    expect(capabilityMask(['CAP_OF_TOMORROW'])).toBe(0n);
    expect(allCapabilities(40)).toBe(0x1ffffffffffn);
  });
});

describe('the device filter', () => {
  /** The few instructions that it is made of, run by hand. */
  function allows(access: number, type: number, major: number, minor: number): boolean {
    const code = assemble(harmlessDevices);
    const context = [(access << 16) | type, major, minor];
    const registers = [0, 0, 0, 0, 0, 0];
    for (let at = 0; at < code.length / 8; at++) {
      const opcode = code.readUInt8(at * 8);
      const [to, from] = [code.readUInt8(at * 8 + 1) & 15, code.readUInt8(at * 8 + 1) >> 4];
      const [offset, value] = [code.readInt16LE(at * 8 + 2), code.readInt32LE(at * 8 + 4)];
      if (opcode === 0x95) return registers[0] === 1;
      if (opcode === 0x61) registers[to] = context[offset / 4]!;
      else if (opcode === 0xbf) registers[to] = registers[from]!;
      else if (opcode === 0xb7) registers[to] = value;
      else if (opcode === 0x57) registers[to]! &= value;
      else if (opcode === 0x77) registers[to]! >>= value;
      else if (jumps(opcode, registers[to]!, value)) at += offset;
    }
    throw new Error('ran off the end');
  }
  const jumps = (opcode: number, register: number, value: number): boolean =>
    opcode === 0x15 ? register === value : opcode === 0x55 ? register !== value : (register & value) !== 0;
  const [mknod, read, write] = [1, 2, 4];
  const [block, char] = [1, 2];

  it('is loaded again when a signal came in between, but not for ever', () => {
    let left = 3;
    expect(loadDeviceFilter(kernelThat(() => (left-- > 0 ? -11 : 7)))).toBe(7);
    expect(() => loadDeviceFilter(kernelThat(() => -11))).toThrow('EAGAIN');
    expect(() => loadDeviceFilter(kernelThat(() => -1))).toThrow('EPERM');
  });

  it('lets null and every terminal be opened', () => {
    expect(allows(read, char, 1, 3)).toBe(true);
    expect(allows(read | write, char, 136, 17)).toBe(true);
    expect(allows(read | write, char, 5, 2)).toBe(true);
  });

  it('lets nothing be made, no disk and no other character device be opened', () => {
    expect(allows(mknod, char, 1, 3)).toBe(false);
    expect(allows(read, char, 1, 11)).toBe(false);
    expect(allows(read, block, 136, 0)).toBe(false);
    expect(allows(read, char, 7, 3)).toBe(false);
  });
});
