import { describe, expect, it } from 'vitest';
import { refuseLeftovers } from './leftover.ts';
import { relocatedScript } from './script.ts';

const moved = (interpreter: string, body = '') =>
  relocatedScript(Buffer.from(`#!${interpreter}\n${body}`), interpreter).toString();
const path = `PATH=/dev/crashcart/bin:/dev/crashcart/sbin\${PATH:+:$PATH}; export PATH\n`;

describe('relocatedScript', () => {
  it.each([
    ['/bin/sh -e', `#!/dev/crashcart/bin/sh -e\n${path}`],
    // With -p it reads no BASH_ENV of the container.
    ['/bin/bash', `#!/dev/crashcart/bin/bash -p\n${path}`],
    ['/bin/bash -eu', `#!/dev/crashcart/bin/bash -peu\n${path}`],
    ['/usr/bin/env bash', `#!/dev/crashcart/bin/bash -p\n${path}`],
    ['/usr/bin/perl -w', '#!/dev/crashcart/bin/perl -w\n'],
    ['/usr/bin/python3.13', '#!/dev/crashcart/bin/python3\n'],
  ])('is run by the toolbox instead of %s', (interpreter, expected) => {
    expect(moved(interpreter)).toBe(expected);
  });

  it('calls the toolbox’s shells, and keeps the toolbox on a PATH that it sets itself', () => {
    expect(moved('/bin/sh', 'PATH=/bin:/sbin\nexec /bin/bash "$0"\n')).toContain(
      'PATH=/dev/crashcart/bin:/dev/crashcart/sbin:/bin:/sbin\nexec /dev/crashcart/bin/bash "$0"\n',
    );
  });

  it('is refused when nothing in the toolbox runs it', () => {
    expect(() => moved('/usr/bin/ruby')).toThrow('run by /usr/bin/ruby, which the toolbox does not have');
  });
});

describe('refuseLeftovers', () => {
  const refuse = (place: string, ...mentions: string[]) =>
    refuseLeftovers(
      [{ place, package: 'thing', mentions }],
      (shipped) => shipped.startsWith('usr/share/thing'),
      'x86_64-linux-gnu',
      'amd64',
    );

  it('names the program, its package and the strings', () => {
    expect(() => refuse('bin/thing', '/usr/share/thing', '/usr/share/other')).toThrow(
      'bin/thing (of thing) looks for /usr/share/thing. In a container',
    );
  });

  it('has nothing against paths that no package ships, nor against debuggers', () => {
    expect(() => refuse('bin/thing', '/usr/share/other')).not.toThrow();
    expect(() => refuse('bin/perf', '/usr/share/thing')).not.toThrow();
  });
});
