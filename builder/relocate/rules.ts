import type { Architecture } from '../debian/lock.ts';
import { asLongAs, type Patch } from './patch.ts';

/** Strings of certain files. In `from`, @ is the name of the architecture's directory (x86_64-linux-gnu). */
export interface Rule {
  /** Matched against the path inside the toolbox. */
  files: RegExp;
  from: string;
  /** A path below the toolbox, filled up with slashes; or, with `exact`, the very string, in which slashes take the place of a +. */
  to: string;
  exact?: boolean;
  /** One number for all architectures or one for each; undefined: at least once. */
  count?: number | Readonly<Record<Architecture, number>>;
  boundary?: Patch['boundary'];
}

const libc = /^lib\/libc\.so\.6$/;
const loader = /^lib\/ld-linux[^/]*$/;
const statics = /^bin\/(bash|busybox)$/;
const perl = /^lib\/libperl\.so\..*$/;

/** Nobody can put a file there: sysfs has no such directories. */
const nowhere = { lib: '/sys/', usrLib: '/sys/dev/' } as const;

/** The loader's four default directories, one after the other. */
const defaultDirectories = '/lib/@/\0/usr/lib/@/\0/lib/\0/usr/lib/';

/** Same-length replacements in named files only: gdb, perf and lsof rightly speak of the container's own /usr/lib. */
export const rules: readonly Rule[] = [
  // The loader: our directories, no cache, no preloading.
  { files: loader, from: defaultDirectories, to: '', count: 2, boundary: 'anywhere' },
  { files: loader, from: '/etc/ld.so.cache', to: '/c', count: 1 },
  { files: loader, from: '/etc/ld.so.preload', to: '/p', count: 1 },

  // The C library.
  { files: libc, from: '/etc/nsswitch.conf', to: '/nss', count: 1 },
  { files: libc, from: '/usr/lib/locale', to: '/', count: 1 },
  { files: libc, from: '/usr/lib/locale/locale-archive', to: '/locale-archive', count: 1 },
  { files: libc, from: '/usr/lib/@/gconv', to: '/lib/gconv', count: 1 },
  { files: libc, from: '/usr/lib/@/gconv/gconv-modules.cache', to: '/lib/gconv/gconv-modules.cache', count: 1 },
  { files: libc, from: '/usr/share/locale/', to: '/lo/', count: { amd64: 8, arm64: 4 }, boundary: 'anywhere' },
  { files: libc, from: 'GCONV_PATH', to: 'CCONV_PATH', exact: true, count: 1 },
  { files: libc, from: 'LOCPATH', to: 'CCCPATH', exact: true, count: 1 },
  { files: libc, from: 'NLSPATH', to: 'CCSPATH', exact: true, count: 1 },
  {
    files: /^lib\/(libc\.so\.6|libstdc\+\+\.so.*|libglib-2\.0\.so.*)$/,
    from: '/usr/share/zoneinfo',
    to: '/zone',
    count: 1,
  },
  { files: /^lib\/gconv\/gconv-modules\.cache$/, from: '/usr/lib/@/gconv/', to: '/lib/gconv/', boundary: 'anywhere' },

  // Static programs have all of that inside.
  { files: statics, from: defaultDirectories, to: '', count: 1, boundary: 'anywhere' },
  { files: statics, from: '/etc/ld.so.cache', to: '/c', count: 1 },
  { files: /^bin\/bash$/, from: 'LD_LIBRARY_PATH', to: 'CC_LIBRARY_PATH', exact: true, count: 2 },
  { files: /^bin\/busybox$/, from: 'LD_LIBRARY_PATH', to: 'CC_LIBRARY_PATH', exact: true, count: 3 },
  { files: statics, from: '/etc/nsswitch.conf', to: '/nss', count: 1 },
  { files: statics, from: '/usr/lib/locale', to: '/', count: 1 },
  { files: statics, from: '/usr/lib/locale/locale-archive', to: '/locale-archive', count: 1 },
  { files: statics, from: '/usr/lib/@/gconv', to: '/lib/gconv', count: 1 },
  { files: statics, from: '/usr/lib/@/gconv/gconv-modules.cache', to: '/lib/gconv/gconv-modules.cache', count: 1 },
  { files: statics, from: '/usr/share/zoneinfo', to: '/zone', count: 1 },
  { files: statics, from: 'GCONV_PATH', to: 'CCONV_PATH', exact: true, count: 2 },
  { files: statics, from: 'LOCPATH', to: 'CCCPATH', exact: true, count: 2 },

  // Shells: no start files of the container, and a PATH when there is none.
  { files: /^bin\/bash$/, from: '/etc/bash.bashrc', to: '/b', count: 1 },
  {
    files: /^bin\/bash$/,
    from: '/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin:.',
    to: '/dev/crashcart/bin:/dev/crashcart+sbin:/usr/bin:/bin:/sbin',
    exact: true,
    count: 1,
  },
  {
    files: /^bin\/dash$/,
    from: 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    to: 'PATH=/dev/crashcart/bin:/dev/crashcart+sbin:/usr/bin:/sbin:/bin',
    exact: true,
    count: 1,
  },

  // Terminals and file types.
  {
    files: /^(lib\/libtinfo\.so\..*|bin\/bash)$/,
    from: '/etc/terminfo:/lib/terminfo:/usr/share/terminfo',
    to: '/t',
    count: 1,
  },
  { files: /^lib\/libmagic\.so\..*$/, from: '/etc/magic:/usr/share/misc/magic', to: '/lib/magic', count: 1 },

  { files: /^lib\/libslang\.so\..*$/, from: '/usr/share/terminfo', to: '/t', count: 1 },
  { files: /^bin\/locale$/, from: '/usr/lib/locale', to: '/', count: { amd64: 2, arm64: 1 } },
  { files: /^bin\/locale$/, from: '/usr/lib/locale/locale-archive', to: '/locale-archive', count: 1 },

  // Certificates, and what TLS libraries load.
  { files: /^lib\/libcrypto\.so\..*$/, from: '/usr/lib/@/engines-3', to: '/lib/engines-3', count: 1 },
  { files: /^lib\/libcrypto\.so\..*$/, from: '/usr/lib/@/ossl-modules', to: '/lib/ossl-modules', count: 1 },
  { files: /^lib\/libcrypto\.so\..*$/, from: '/usr/lib/ssl/cert.pem', to: '/ca.pem', count: 1 },
  { files: /^lib\/libcrypto\.so\..*$/, from: '/usr/lib/ssl/certs', to: '/ns', count: 1 },
  { files: /^lib\/libcrypto\.so\..*$/, from: '/usr/lib/ssl/private', to: '/ns', count: 1 },
  { files: /^lib\/libcrypto\.so\..*$/, from: '/usr/lib/ssl/ct_log_list.cnf', to: '/ns', count: 1 },
  { files: /^lib\/libcrypto\.so\..*$/, from: '/usr/lib/ssl', to: '/dev/.nossl.', exact: true, count: 1 },
  {
    files: /^(lib\/libcurl(-gnutls)?\.so\..*|lib\/libgnutls\.so\..*|bin\/ncat)$/,
    from: '/etc/ssl/certs/ca-certificates.crt',
    to: '/ca.pem',
    count: 1,
  },
  {
    files: /^(lib\/libcurl(-gnutls)?\.so\..*|bin\/wget)$/,
    from: '/etc/ssl/certs',
    to: '/dev/.nocerts.',
    exact: true,
    count: 1,
  },
  { files: /^lib\/libp11-kit\.so\..*$/, from: '/usr/lib/@/pkcs11', to: '/lib/pkcs11', count: 1 },
  { files: /^lib\/libp11-kit\.so\..*$/, from: '/usr/share/p11-kit/modules', to: '/p11/modules', count: 1 },
  { files: /^lib\/libp11-kit\.so\..*$/, from: '/etc/pkcs11/modules', to: '/p11', count: 1 },
  {
    files: /^lib\/libkrb5\.so\..*$/,
    from: '/usr/lib/@/krb5/plugins',
    to: '/lib/krb5/plugins',
    count: 3,
    boundary: 'start',
  },
  { files: /^lib\/libgssapi_krb5\.so\..*$/, from: '/usr/lib/@/gss/', to: '/lib/gss/', count: 1 },
  { files: /^lib\/libsasl2\.so\..*$/, from: '/usr/lib/@/sasl2', to: '/lib/sasl2', count: 1 },

  // Users of the toolbox.
  { files: /^lib\/libnss_extrausers\.so\..*$/, from: '/var/lib/extrausers/passwd', to: '/x/passwd', count: 1 },
  { files: /^lib\/libnss_extrausers\.so\..*$/, from: '/var/lib/extrausers/group', to: '/x/group', count: 1 },
  { files: /^lib\/libnss_extrausers\.so\..*$/, from: '/var/lib/extrausers/shadow', to: '/x/shadow', count: 1 },

  // Network tools.
  { files: /^lib\/libxtables\.so\..*$/, from: '/usr/lib/@/xtables', to: '/lib/xtables', count: 1 },
  { files: /^lib\/libipset\.so\..*$/, from: '/usr/lib/@/ipset', to: '/lib/ipset', count: 1 },
  {
    files: /^s?bin\/(ip|ss|nstat|rdma|bridge|dcb|devlink|genl|rtacct|rtmon|tc|tipc|vdpa)$/,
    from: '/usr/share/iproute2',
    to: '/ipr2',
    boundary: 'start',
  },
  { files: /^bin\/ip$/, from: '/usr/lib/@/ip', to: '/lib/ip', count: 1 },
  { files: /^sbin\/tc$/, from: '/usr/lib/@/tc', to: '/lib/tc', count: 1, boundary: 'start' },

  // Languages.
  { files: perl, from: '/etc/perl', to: '/dev/null', exact: true, count: 1 },
  { files: perl, from: '/usr/local/lib/@/perl/5.40.1', to: '/no', count: 2, boundary: 'anywhere' },
  { files: perl, from: '/usr/local/share/perl/5.40.1', to: '/no', count: 2 },
  { files: perl, from: '/usr/local/lib/site_perl', to: '/no', count: 1 },
  { files: perl, from: '/usr/lib/@/perl5/5.40', to: '/lib/perl5', count: 1 },
  { files: perl, from: '/usr/share/perl5', to: '/5', count: 1 },
  { files: perl, from: '/usr/lib/@/perl/5.40', to: '/lib/perl/5.40', count: 1 },
  { files: perl, from: '/usr/share/perl/5.40', to: '/pl', count: 1 },
  { files: perl, from: 'PERL5LIB', to: 'CCRL5LIB', exact: true, count: 1 },
  { files: perl, from: 'PERL5OPT', to: 'CCRL5OPT', exact: true, count: 1 },
  { files: perl, from: 'PERLLIB', to: 'CCRLLIB', exact: true, count: 1 },

  { files: /^bin\/gawk$/, from: '/usr/lib/@/gawk', to: '/lib/gawk', count: 1 },

  // Debuggers, editors, manuals.
  { files: /^libexec\/gdb$/, from: '/etc/gdb/gdbinit', to: '/g', count: 1 },
  { files: /^libexec\/gdb$/, from: '/etc/gdb/gdbinit.d', to: '/g', count: 1 },
  { files: /^lib\/libsource-highlight\.so\..*$/, from: '/usr/share/source-highlight', to: '/hl', count: 1 },
  {
    files: /^bin\/mariadb(-(admin|analyze|binlog|check|dump|import|show|slap))?$/,
    from: '/usr/lib/@/libmariadb3/plugin',
    to: '/lib/libmariadb3/plugin',
    count: 1,
  },
  { files: /^bin\/ltrace$/, from: '/usr/share/ltrace', to: '/lt', count: 1 },
  {
    files: /^lib\/libtraceevent\.so\..*$/,
    from: '/usr/lib/@/traceevent/plugins',
    to: '/lib/traceevent/plugins',
    count: 1,
  },
  { files: /^bin\/sar\.sysstat$/, from: '/usr/libexec/sysstat/sadc', to: '/le/sadc', count: 1 },
  { files: /^bin\/vim\.tiny$/, from: '/usr/share/vim', to: '', count: 1 },
  { files: /^bin\/vim\.tiny$/, from: '/etc/vim/vimrc', to: '/dev/.no.vimrc', exact: true, count: 1 },
  { files: /^bin\/vim\.tiny$/, from: '/etc/vim/vimrc.tiny', to: '/virc', count: 1 },
  {
    files: /^(bin\/(man|mandb|manpath|catman|whatis)|libexec\/zsoelim)$/,
    from: '/etc/manpath.config',
    to: '/manp',
    count: 1,
  },
  { files: /^bin\/(man|mandb|man-recode|lexgrog)$/, from: '/usr/libexec/man-db/manconv', to: '/le/manconv', count: 1 },
  { files: /^bin\/man$/, from: '/usr/libexec/man-db/zsoelim', to: '/le/zsoelim', count: 1 },
  {
    files: /^bin\/(groff|grops|grotty|troff)$/,
    from: '/usr/share/groff/site-font:/usr/share/groff/1.23.0/font:/usr/lib/font',
    to: '/share/groff/1.23.0/font',
    count: 1,
  },
  {
    files: /^bin\/(eqn|troff)$/,
    from: '/usr/lib/groff/site-tmac:/usr/share/groff/site-tmac:/usr/share/groff/1.23.0/tmac:/usr/share/groff/tmac',
    to: '/share/groff/1.23.0/tmac',
    count: 1,
  },
];

/** Message catalogues: in nearly every program, and never wanted from a container. */
const catalogues = '/usr/share/locale';

/** The patches of one file of the toolbox. */
export function patchesOf(path: string, triplet: string, architecture: Architecture): Patch[] {
  return rules.filter(({ files }) => files.test(path)).map((rule) => patchOf(rule, triplet, architecture));
}

function patchOf(rule: Rule, triplet: string, architecture: Architecture): Patch {
  const from = rule.from.replaceAll('@', triplet);
  const count = typeof rule.count === 'object' ? rule.count[architecture] : rule.count;
  return {
    from,
    to: targetOf(rule, from, triplet),
    ...(count !== undefined && { count }),
    ...(rule.boundary && { boundary: rule.boundary }),
  };
}

function targetOf(rule: Rule, from: string, triplet: string): string {
  if (rule.exact) return rule.to.replace('+', '/'.repeat(Math.max(1, from.length - rule.to.length + 1)));
  if (rule.from !== defaultDirectories) return asLongAs(from, rule.to);
  const ours = [`/lib/${triplet}/`, `/usr/lib/${triplet}/`].map((directory) => asLongAs(directory, '/lib/'));
  return [...ours, nowhere.lib, nowhere.usrLib].join('\0');
}

/** Where a program of any kind would look for translated messages: nowhere. */
export function dropCatalogues(bytes: Buffer): void {
  const needle = Buffer.from(`\0${catalogues}\0`);
  const replacement = Buffer.from(asLongAs(catalogues, '/lo'));
  for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) replacement.copy(bytes, at + 1);
}
