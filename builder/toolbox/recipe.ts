/** What is taken out of packages besides libraries, and under which names. Everything else stays behind. */

/** Commands of the listed packages that are left out: they serve a system's installation, or need what the toolbox does not have. */
export const leftOut: readonly RegExp[] = [
  // Maintenance of an installed system, and what would stop or take over the node.
  /^(update-ca-certificates|c_rehash|add-shell|remove-shell|update-shells|installkernel|savelog|ischroot|clear_console)$/,
  /^(rtcwake|switch_root|sulogin|agetty|getty|su|runuser|ldattach|pwhistory_helper)$/,
  /^(ldd|ldconfig|iconvconfig|localedef|zic|tzselect|ld\.so)$/,
  /^(mandb|catman|accessdb|man-recode|lexgrog|whatis|apropos)$/,
  /^(perl5\.\d+\.\d+|cpan5\..*|corelist|py3clean|py3compile|py3versions|pygettext3.*|pg_config|ip6?tables-apply)$/,
  // Development and bug reports.
  /^(bashbug|gawkbug|perlbug|perlthanks|perlivp|perldoc|cpan|enc2xs|h2ph|h2xs|instmodsh|libnetcfg|pl2pm|xsubpp|splain|pod2html|podchecker)$/,
  /^(prove|ptar|ptardiff|ptargrep|eu-make-debug-archive|gprofng.*|gp-.*|grog|rrsync)$/,
  // Keeps a database of its own on disk.
  /^arpd$/,
  // Preloads a library of the toolbox into programs of the container.
  /^stdbuf$/,
  // Scripts that need another program's exact form.
  /^(bz(e|f)?grep|msql2mysql)$/,
];

/** Names that Debian makes when it installs: the first of the commands that is there gets the name. */
export const alternatives: readonly (readonly [name: string, ...commands: string[]])[] = [
  ['sh', 'dash', 'bash'],
  ['rbash', 'bash'],
  ['awk', 'gawk', 'mawk'],
  ['editor', 'nano', 'vim.tiny', 'vi'],
  ['ex', 'vim.tiny'],
  ['fd', 'fdfind'],
  ['iotop', 'iotop-c'],
  ['nc', 'nc.openbsd', 'ncat'],
  ['netcat', 'nc.openbsd', 'ncat'],
  ['pager', 'less'],
  ['python', 'python3'],
  ['python3.13', 'python3'],
  ['rename', 'rename.ul'],
  ['sar', 'sar.sysstat'],
  ['telnet', 'inetutils-telnet'],
  ['traceroute', 'traceroute.db'],
  ['traceroute6', 'traceroute6.db'],
  ['tcptraceroute', 'tcptraceroute.db'],
  ['vi', 'vim.tiny'],
  ['view', 'vim.tiny'],
  ['vim', 'vim.tiny'],
  ['which', 'which.debianutils'],
  ...['iptables', 'ip6tables', 'arptables', 'ebtables'].flatMap((family): [string, string][] =>
    ['', '-save', '-restore'].map((verb) => [`${family}${verb}`, `${family}-nft${verb}`]),
  ),
];

/** Commands that get another name than their packages give them. */
export const renamed: readonly (readonly [name: RegExp, command: string])[] = [
  [/^bash-static$/, 'bash'],
  [/^perl5\.\d+-\S+-linux-gnu$/, 'perl'],
];

/** Programs outside of bin and sbin that are commands all the same. */
export const commandDirectories: readonly RegExp[] = [/^(usr\/)?s?bin\/$/, /^usr\/lib\/postgresql\/\d+\/bin\/$/];

/**
 * Programs that obey variables of the container: they stand in libexec, and a script of the same name in bin starts them without.
 * Python and gdb find their own files from where they stand.
 */
export const wrapped: Readonly<Record<string, string>> = {
  gdb: 'unset PYTHONHOME PYTHONPATH PYTHONSTARTUP',
  openssl: 'export OPENSSL_CONF=/dev/crashcart/lib/openssl.cnf',
  python3: 'unset PYTHONHOME PYTHONPATH PYTHONSTARTUP',
};

export interface Data {
  /** A file, or a directory with a slash at the end. @ is the name of the architecture's directory. */
  from: string;
  to: string;
  /** Taken only into toolboxes that have this command. */
  command?: string;
  except?: RegExp;
}

/** What only building and testing modules takes, and tables of hundreds of kilobytes that no tool reads. */
const perlLeftOut =
  /\/(CORE|CPAN|pod|TAP|Test2?|ExtUtils|Unicode\/Collate|Encode\/(JP|KR|CN|TW)|Module\/CoreList|unicore\/TestNorm)\b|\/(TestNorm|Collate|CoreList|Encode\/(JP|KR|CN|TW))\.p[lm]$|\.pod$/;

export const data: readonly Data[] = [
  { from: 'usr/lib/locale/C.utf8/', to: 'lib/C.utf8/' },
  { from: 'usr/share/terminfo/', to: 'lib/terminfo/' },
  { from: 'usr/lib/terminfo/', to: 'lib/terminfo/' },
  { from: 'usr/lib/@/gconv/', to: 'lib/gconv/', command: 'nano', except: /\.conf(\.d\/.*)?$/ },
  { from: 'usr/lib/file/magic.mgc', to: 'lib/magic.mgc', command: 'file' },
  { from: 'usr/share/zoneinfo/', to: 'share/zoneinfo/', except: /\/(right|posix)\// },
  { from: 'usr/lib/@/ossl-modules/', to: 'lib/ossl-modules/', command: 'openssl' },
  { from: 'etc/ssl/openssl.cnf', to: 'lib/openssl.cnf', command: 'openssl' },
  { from: 'usr/lib/ssl/openssl.cnf', to: 'lib/openssl.cnf', command: 'openssl' },
  { from: 'usr/lib/@/sasl2/', to: 'lib/sasl2/', command: 'kcat' },
  { from: 'usr/lib/@/xtables/', to: 'lib/xtables/', command: 'iptables' },
  { from: 'usr/share/iproute2/', to: 'share/iproute2/', command: 'ip' },
  { from: 'usr/lib/@/tc/', to: 'lib/tc/', command: 'tc' },
  { from: 'usr/share/nmap/', to: 'share/nmap/', command: 'nmap' },
  { from: 'usr/lib/@/perl/5.40.1/', to: 'lib/perl/5.40/', command: 'json_pp', except: perlLeftOut },
  { from: 'usr/lib/@/perl/5.40/', to: 'lib/perl/5.40/', command: 'json_pp', except: perlLeftOut },
  {
    from: 'usr/share/perl/5.40.1/',
    to: 'share/perl/5.40/',
    command: 'json_pp',
    except: perlLeftOut,
  },
  { from: 'usr/share/perl/5.40/', to: 'share/perl/5.40/', command: 'json_pp', except: perlLeftOut },
  {
    from: 'usr/lib/python3.13/',
    to: 'lib/python3.13/',
    command: 'python3',
    except: /\/(test|tests|idlelib|tkinter|ensurepip|turtledemo|lib2to3|__phello__)\/|\/turtle\.py$|\/config-3/,
  },
  { from: 'usr/share/gdb/', to: 'share/gdb/', command: 'gdb' },
  { from: 'usr/share/source-highlight/', to: 'share/source-highlight/', command: 'gdb' },
  { from: 'usr/lib/@/gawk/', to: 'lib/gawk/', command: 'gawk' },
  { from: 'usr/lib/@/libmariadb3/plugin/', to: 'lib/libmariadb3/plugin/', command: 'mariadb' },
  { from: 'usr/share/ltrace/', to: 'share/ltrace/', command: 'ltrace' },
  { from: 'usr/lib/@/traceevent/plugins/', to: 'lib/traceevent/plugins/', command: 'trace-cmd' },
  { from: 'usr/libexec/sysstat/sadc', to: 'libexec/sadc', command: 'sar.sysstat' },
  { from: 'usr/share/vim/vim91/', to: 'share/vim/vim91/', command: 'vim.tiny', except: /\/(doc|lang|tutor|print)\// },
  { from: 'usr/libexec/man-db/', to: 'libexec/', command: 'man' },
  {
    from: 'usr/share/groff/1.23.0/',
    to: 'share/groff/1.23.0/',
    command: 'man',
    except: /\/(oldfont|pic|eign|font\/dev(ps|X|dvi|html|lj4|lbp|pdf))/,
  },
  { from: 'usr/share/postgresql/17/', to: 'share/postgresql/17/', command: 'psql', except: /\/man\// },
  { from: 'usr/share/wireshark/', to: 'share/wireshark/', command: 'tshark' },
  { from: 'usr/share/bpftrace/', to: 'share/bpftrace/', command: 'bpftrace' },
  { from: 'usr/share/mysql/', to: 'share/mysql/', command: 'mariadb' },
];

/** Libraries that programs open by name, and the command that does (undefined: the C library). */
export const opened: readonly (readonly [library: string, command?: string])[] = [
  ['libgcc_s.so.1'],
  ['libnss_extrausers.so.2'],
  ['libthread_db.so.1', 'gdb'],
  ['libthread_db.so.1', 'ltrace'],
];

/** Short ways to data: what a program has room for in its own text is often not more than one letter below the prefix. */
export const shortcuts: Readonly<Record<string, string>> = {
  '5': 'share/perl5',
  'C.utf8': 'lib/C.utf8',
  hl: 'share/source-highlight',
  ipr2: 'share/iproute2',
  le: 'libexec',
  lt: 'share/ltrace',
  pl: 'share/perl/5.40',
  t: 'lib/terminfo',
  vim91: 'share/vim/vim91',
  zone: 'share/zoneinfo',
};

/** Applets of busybox that get no name: programs of their own, and what is for a system's start, users or kernel modules. */
export const leftApplets = new Set(
  `bash busybox halt init linuxrc poweroff reboot run-init switch_root getty login su sulogin passwd adduser addgroup deluser delgroup
  chpasswd cryptpw mkpasswd klogd syslogd logread mdev uevent modprobe insmod rmmod depmod lsmod modinfo start-stop-daemon run-parts
  svc svok openvt chvt deallocvt fgconsole dumpkmap loadkmap loadfont setfont setkeycodes setlogcons showkey kbd_mode fbset fbsplash
  dpkg dpkg-deb rpm rpm2cpio udhcpc udhcpc6 udhcpd udhcpc6 ifup ifdown ifplugd acpid hwclock rtcwake swapon swapoff watchdog w bootchartd
  fdisk mkdosfs mkfs.vfat mkfs.ext2 mke2fs mkfs.minix fsck.minix losetup freeramdisk devmem crond crontab inetd linux32 linux64 setarch
  ssl_client`.split(/\s+/),
);
