import { randomBytes } from 'node:crypto';
import { layoutOf } from '../debian/layout.ts';
import type { Architecture } from '../debian/lock.ts';

/** What a command is started in. */
export interface Environment {
  name: string;
  env: Readonly<Record<string, string>>;
  uid?: number;
  files: Readonly<Record<string, string | Uint8Array>>;
}

const garbage = (): Uint8Array => Buffer.concat([Buffer.from('\x7fELF\x02\x01\x01'), randomBytes(4096)]);

/** Names that Debian, Alpine and others have; what is in them would end any program that loaded them. */
const libraries = [
  'libc.so.6',
  'libm.so.6',
  'libdl.so.2',
  'libpthread.so.0',
  'libtinfo.so.6',
  'libcrypto.so.3',
  'libssl.so.3',
  'libz.so.1',
  'libgcc_s.so.1',
  'libstdc++.so.6',
  'libnss_files.so.2',
  'libnss_dns.so.2',
  'libnss_extrausers.so.2',
  'libpcap.so.0.8',
];

/** The root of a container that does what it can to be in the way. */
function hostileFiles(architecture: Architecture): Record<string, string | Uint8Array> {
  const { triplet, interpreter } = layoutOf(architecture);
  const directories = ['lib', 'usr/lib', `lib/${triplet}`, `usr/lib/${triplet}`, 'lib64', 'evil'];
  const falseLibraries = directories.flatMap((directory) =>
    libraries.map((name) => [`${directory}/${name}`, garbage()]),
  );
  return {
    ...Object.fromEntries(falseLibraries),
    [interpreter]: garbage(),
    'evil/preload.so': garbage(),
    'etc/ld.so.preload': '/evil/preload.so\n/lib/libc.so.6\n',
    'etc/ld.so.cache': randomBytes(8192),
    'etc/nsswitch.conf': 'passwd: hostile evil [!NOTFOUND=return]\nhosts: hostile\ngroup: \u0001\n',
    'etc/passwd': 'app:x:65532:65532::/:/none\n',
    'etc/group': 'app:x:65532:\n',
    'etc/resolv.conf': 'nameserver 127.0.0.1\n',
    'etc/ssl/openssl.cnf': 'openssl_conf = evil\n[evil]\nengines = x\n[x\n',
    'usr/lib/ssl/openssl.cnf': 'openssl_conf = evil\n[evil\n',
    'etc/bash.bashrc': 'echo the container speaks; exit 66\n',
    'etc/profile': 'echo the container speaks; exit 66\n',
    'etc/perl/sitecustomize.pl': 'die "the container speaks"',
    'evil/sitecustomize.py': 'raise SystemExit("the container speaks")',
    'evil/strict.pm': 'die "the container speaks"',
    'etc/vim/vimrc': 'cquit 66\n',
    'etc/gdb/gdbinit': 'quit 66\n',
    'usr/share/locale/de/LC_MESSAGES/coreutils.mo': garbage(),
    'usr/lib/locale/locale-archive': randomBytes(4096),
    'usr/share/terminfo/x/xterm': randomBytes(256),
    [`usr/lib/${triplet}/gconv/gconv-modules.cache`]: randomBytes(4096),
  };
}

const hostile: Record<string, string> = {
  LD_PRELOAD: '/evil/preload.so',
  LD_LIBRARY_PATH: '/evil:/lib',
  LD_AUDIT: '/evil/preload.so',
  LD_BIND_NOW: '1',
  GCONV_PATH: '/evil',
  LOCPATH: '/evil',
  NLSPATH: '/evil/%N',
  LC_ALL: 'de_DE.UTF-8',
  LANG: 'xx_YY',
  TZ: ':/evil/zone',
  PYTHONHOME: '/evil',
  PYTHONPATH: '/evil',
  PERL5LIB: '/evil',
  PERL5OPT: '-Mstrict',
  OPENSSL_CONF: '/etc/ssl/openssl.cnf',
  BASH_ENV: '/etc/bash.bashrc',
  ENV: '/etc/profile',
};

export const normal: Environment = {
  name: 'an empty root',
  env: { PATH: '/dev/crashcart/bin:/dev/crashcart/sbin', HOME: '/', TERM: 'xterm' },
  files: {},
};

/** The four that every command must start in. `musl` has the loader and C library of musl, as Debian packages it. */
export function environments(architecture: Architecture, musl: Readonly<Record<string, Uint8Array>>): Environment[] {
  const files = hostileFiles(architecture);
  return [
    normal,
    { name: 'a hostile container without PATH', env: hostile, files },
    { name: 'no environment at all', env: {}, files: {} },
    { name: 'hostile, musl, uid 65532, read-only root', env: hostile, uid: 65532, files: { ...files, ...musl } },
  ];
}
