import { hasErrno } from './errno.ts';
import { type Fd, invoke, type Kernel } from './kernel.ts';

export interface DeviceRule {
  readonly major: number;
  /** Left out: every one. */
  readonly minor?: number;
}

/** Character devices that every container has; what a session may open. Nothing may be made by mknod, no block device opened. */
export const harmlessDevices: readonly DeviceRule[] = [
  { major: 1, minor: 3 }, // null
  { major: 1, minor: 5 }, // zero
  { major: 1, minor: 7 }, // full
  { major: 1, minor: 8 }, // random
  { major: 1, minor: 9 }, // urandom
  { major: 5, minor: 0 }, // tty
  { major: 5, minor: 1 }, // console
  { major: 5, minor: 2 }, // ptmx
  { major: 136 }, // pts
];

const command = { progLoad: 5, progAttach: 8 } as const;
const cgroupDevice = { programType: 15, attachType: 6 } as const;
/** Beside filters of the cgroups above it: all of them must allow. */
const allowMulti = 0x2;

/** A signal to this process, such as that of a child's end, interrupts the kernel's look at the program. */
const loadTries = 10;

/** Loads the filter as a program, to be attached to any number of cgroups. */
export function loadDeviceFilter(kernel: Kernel, rules: readonly DeviceRule[] = harmlessDevices): Fd {
  const instructions = assemble(rules);
  const license = Buffer.from('GPL\0');
  const attributes = Buffer.alloc(72);
  attributes.writeUInt32LE(cgroupDevice.programType, 0);
  attributes.writeUInt32LE(instructions.length / 8, 4);
  attributes.writeBigUInt64LE(kernel.address(instructions), 8);
  attributes.writeBigUInt64LE(kernel.address(license), 16);
  attributes.writeUInt32LE(cgroupDevice.attachType, 68);
  const operands = 'BPF_PROG_LOAD, cgroup device';
  for (let tries = 1; ; tries++) {
    try {
      return invoke(kernel, 'bpf', operands, command.progLoad, attributes, attributes.length) as Fd;
    } catch (error) {
      if (!hasErrno(error, 'EAGAIN') || tries === loadTries) throw error;
    }
  }
}

/**
 * Attaches the filter to a cgroup of the v2 hierarchy, for as long as the cgroup lives. The container's own filter is on *its* cgroup:
 * without one here, a session with CAP_MKNOD could read the node's disks.
 */
export function filterDevices(kernel: Kernel, cgroup: Fd, program: Fd): void {
  const attributes = Buffer.alloc(16);
  attributes.writeUInt32LE(cgroup, 0);
  attributes.writeUInt32LE(program, 4);
  attributes.writeUInt32LE(cgroupDevice.attachType, 8);
  attributes.writeUInt32LE(allowMulti, 12);
  invoke(kernel, 'bpf', 'BPF_PROG_ATTACH, BPF_CGROUP_DEVICE', command.progAttach, attributes, attributes.length);
}

// biome-ignore format: a table
const op = {
  load32: 0x61, moveRegister: 0xbf, moveImmediate: 0xb7, and: 0x57, shiftRight: 0x77,
  ifEqual: 0x15, ifNotEqual: 0x55, ifAnySet: 0x45, exit: 0x95,
} as const;

/** struct bpf_cgroup_dev_ctx: access << 16 | type, major, minor. Returns 1 to allow. */
export function assemble(rules: readonly DeviceRule[]): Buffer {
  const [context, access, type, major, minor] = [1, 2, 3, 4, 5];
  const [charDevice, mknod] = [2, 1];
  const checks = rules.map(({ minor: only }) => (only === undefined ? 1 : 2));
  const body = checks.reduce((sum, length) => sum + length, 0);
  const [denyAt, allowAt] = [8 + body, 10 + body];
  const code: Buffer[] = [];
  const emit = (opcode: number, destination: number, source: number, offset: number, immediate: number): void => {
    const instruction = Buffer.alloc(8);
    instruction.writeUInt8(opcode, 0);
    instruction.writeUInt8(destination | (source << 4), 1);
    instruction.writeInt16LE(offset, 2);
    instruction.writeInt32LE(immediate, 4);
    code.push(instruction);
  };
  const jump = (opcode: number, register: number, target: number, value: number): void =>
    emit(opcode, register, 0, target - code.length - 1, value);

  emit(op.load32, access, context, 0, 0);
  emit(op.moveRegister, type, access, 0, 0);
  emit(op.and, type, 0, 0, 0xffff);
  jump(op.ifNotEqual, type, denyAt, charDevice);
  emit(op.shiftRight, access, 0, 0, 16);
  jump(op.ifAnySet, access, denyAt, mknod);
  emit(op.load32, major, context, 4, 0);
  emit(op.load32, minor, context, 8, 0);
  for (const rule of rules) {
    if (rule.minor === undefined) jump(op.ifEqual, major, allowAt, rule.major);
    else {
      jump(op.ifNotEqual, major, code.length + 2, rule.major);
      jump(op.ifEqual, minor, allowAt, rule.minor);
    }
  }
  emit(op.moveImmediate, 0, 0, 0, 0);
  emit(op.exit, 0, 0, 0, 0);
  emit(op.moveImmediate, 0, 0, 0, 1);
  emit(op.exit, 0, 0, 0, 0);
  return Buffer.concat(code);
}
