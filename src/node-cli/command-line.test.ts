import { describe, expect, it } from 'vitest';
import { parseCommandLine } from './command-line.ts';

describe('parseCommandLine', () => {
  it('leaves everything behind the ID to the command', () => {
    expect(parseCommandLine(['-v', '--user', '0:5', 'web', 'tcpdump', '-i', 'eth0', '--version'])).toEqual({
      options: expect.objectContaining({ verbose: [true], user: '0:5' }),
      verb: undefined,
      id: 'web',
      rest: ['tcpdump', '-i', 'eth0', '--version'],
    });
    expect(parseCommandLine(['web', '--', 'ls', '-l']).rest).toEqual(['ls', '-l']);
  });

  it('knows the original’s short words, alone, together and with a value', () => {
    expect(parseCommandLine(['-m', 'web']).options).toMatchObject({ mount: true });
    expect(parseCommandLine(['-vvu', 'web']).options).toMatchObject({ verbose: [true, true], unmount: true });
    expect(parseCommandLine(['-e', '-i', './crashcart.img', 'web'])).toMatchObject({
      options: { exec: true, image: './crashcart.img' },
      id: 'web',
    });
    expect(parseCommandLine(['-idefault', 'web'])).toMatchObject({ options: { image: 'default' }, id: 'web' });
  });

  it('takes a verb for one only where no "--" stands before it', () => {
    expect(parseCommandLine(['--json', 'ps'])).toMatchObject({ verb: 'ps', id: undefined });
    expect(parseCommandLine(['--', 'ps', 'ls'])).toMatchObject({ verb: undefined, id: 'ps', rest: ['ls'] });
    expect(parseCommandLine(['--print', 'run', '-it', '--rm', 'alpine', 'sh'])).toMatchObject({
      verb: 'run',
      rest: ['-it', '--rm', 'alpine', 'sh'],
    });
  });

  it('joins the two words of a pod to one ID', () => {
    expect(parseCommandLine(['k8s', 'shop/web-0/proxy', 'id'])).toMatchObject({
      id: 'k8s shop/web-0/proxy',
      rest: ['id'],
    });
    expect(parseCommandLine(['k8s'])).toMatchObject({ id: 'k8s', rest: [] });
    expect(parseCommandLine(['--', 'k8s', 'id'])).toMatchObject({ id: 'k8s', rest: ['id'] });
  });

  it.each([
    [['web', '-m'], /"-m" stands where a command is expected/],
    [['--nonsense', 'web'], /--nonsense/],
    [['--profile', 'root', 'web'], /one of general, baseline/],
    [['--user'], /--user/],
    [['', 'ls'], /the ID is empty/],
    [['--mount=yes', 'web'], /mount/],
  ])('refuses %j', (args, message) => {
    expect(() => parseCommandLine(args)).toThrow(message);
  });
});
