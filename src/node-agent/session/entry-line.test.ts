import { describe, expect, it } from 'vitest';
import { entryError, parseEntryLine } from './entry-line.ts';

describe('parseEntryLine', () => {
  it('reads what crashcart-enter says', () => {
    expect(parseEntryLine('started 4711')).toEqual({ type: 'started', pid: 4711 });
    expect(parseEntryLine('placed 1 0')).toEqual({ type: 'placed', created: true, createdDev: false });
    expect(parseEntryLine('error setns 3 setns(pidfd, 0x1)')).toEqual({
      type: 'error',
      step: 'setns',
      errno: 3,
      detail: 'setns(pidfd, 0x1)',
    });
  });

  it('takes what it does not know for a warning', () => {
    expect(parseEntryLine('hello')).toEqual({ type: 'warning', detail: 'hello' });
  });
});

describe('entryError', () => {
  it('names what the container has at the mount point', () => {
    const error = entryError({ type: 'error', step: 'occupied', errno: 17, detail: 'a file' });
    expect(error.reason).toBe('MountPointOccupied');
    expect(error.message).toContain('has a file of its own at /dev/crashcart');
  });

  it('shows nothing of a container to a terminal that could harm it', () => {
    const error = entryError({ type: 'error', step: 'occupied', errno: 17, detail: '\u001b]52;c;x\u0007' });
    expect(error.message).not.toContain('\u001b');
  });

  it('points from a root that takes nothing to the other visibility', () => {
    const error = entryError({ type: 'error', step: 'mountpoint', errno: 30, detail: 'mkdirat(/dev)' });
    expect(error).toMatchObject({
      reason: 'ContainerUnsupported',
      message: expect.stringContaining('visibility Session'),
    });
  });

  it('knows a container that ended, and keeps the failed step and errno of the rest as the cause', () => {
    expect(entryError({ type: 'error', step: 'setns', errno: 3, detail: 'x' }).reason).toBe('ContainerNotRunning');
    const error = entryError({ type: 'error', step: 'place', errno: 30, detail: 'move_mount(\u001b[31m)' });
    expect(error.reason).toBe('Internal');
    expect(String(error.cause)).toContain('place: move_mount(\\u001b[31m): EROFS');
  });
});
