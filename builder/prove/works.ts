import type { InRoom } from './room.ts';

/** A piece of real work, done in a hostile container. It counts when the output matches. */
export interface Work {
  name: string;
  /** Commands that it takes; a toolbox that lacks one of them need not do it. */
  takes: readonly string[];
  script: string;
  expect: RegExp;
  options?: InRoom;
}

const pid = '$(/dev/crashcart/bin/pgrep -x workload)';
const unprivileged = (script: string): string =>
  `setpriv --reuid 65532 --regid 65532 --clear-groups --inh-caps +net_raw --ambient-caps +net_raw --bounding-set -all,+net_raw ${script}`;
/** Something for the captures to see. */
const traffic = '(for i in 1 2 3 4 5 6 7 8; do sleep 0.3; echo x | nc -u -w1 127.0.0.1 5353; done) >/dev/null 2>&1 &';

export const works: readonly Work[] = [
  {
    name: 'names by DNS, through the C library',
    takes: ['getent'],
    script: 'getent hosts host.test',
    expect: /127\.0\.0\.1 +host\.test/,
  },
  { name: 'names by DNS, by dig', takes: ['dig'], script: 'dig +short host.test', expect: /^127\.0\.0\.1$/m },
  {
    name: 'users of the container, and of the toolbox',
    takes: ['getent'],
    script: 'getent passwd app tcpdump',
    expect: /app:x:65532[\s\S]*tcpdump:x:65534/,
  },
  {
    name: 'TLS by curl, with the name checked',
    takes: ['curl'],
    script: 'curl -sS --cacert /tmp/tls.crt https://host.test:8443/',
    expect: /^hello over TLS$/m,
  },
  {
    name: 'TLS by curl, refused without the certificate',
    takes: ['curl'],
    script: 'curl -sS https://host.test:8443/; echo code $?',
    expect: /code 60/,
  },
  {
    name: 'TLS by wget',
    takes: ['wget'],
    script: 'wget -qO- --ca-certificate=/tmp/tls.crt https://host.test:8443/',
    expect: /^hello over TLS$/m,
  },
  {
    name: 'openssl s_client',
    takes: ['openssl'],
    script: 'openssl s_client -connect 127.0.0.1:8443 -servername host.test -CAfile /tmp/tls.crt </dev/null',
    expect: /Verify return code: 0 \(ok\)/,
  },
  {
    name: 'tcpdump as root',
    takes: ['tcpdump'],
    script: `${traffic} timeout 8 tcpdump -i lo -nn -c 1 udp port 5353`,
    expect: /127\.0\.0\.1\.5353: /,
  },
  {
    name: 'tcpdump to a file',
    takes: ['tcpdump'],
    script: `${traffic} timeout 8 tcpdump -i lo -U -c 1 -w /tmp/cap udp port 5353; tcpdump -nn -r /tmp/cap`,
    expect: /127\.0\.0\.1\.5353: /,
  },
  {
    name: 'tcpdump as another user with the capability',
    takes: ['tcpdump', 'setpriv'],
    script: `${traffic} ${unprivileged('timeout 8 tcpdump -i lo -nn -c 1 udp port 5353')}`,
    expect: /127\.0\.0\.1\.5353: /,
  },
  {
    name: 'strace -f of a musl process',
    takes: ['strace'],
    script: `timeout 2 strace -f -e trace=nanosleep,clock_nanosleep -p ${pid}; true`,
    expect: /nanosleep\(/,
  },
  {
    name: 'gdb: backtrace of a musl process',
    takes: ['gdb'],
    script: `gdb -q --batch -p ${pid} -ex bt`,
    expect: /deep_in_the_workload/,
    options: { timeoutMs: 40_000 },
  },
  {
    name: 'gdb: its own Python',
    takes: ['gdb'],
    script: 'gdb -q --batch -ex "python import ssl, json; print(6*7)"',
    expect: /^42$/m,
    options: { timeoutMs: 40_000 },
  },
  {
    name: 'eu-stack of a musl process',
    takes: ['eu-stack'],
    script: `eu-stack -p ${pid}`,
    expect: /deep_in_the_workload/,
  },
  {
    name: 'ltrace',
    takes: ['ltrace'],
    script: 'ltrace -e getenv /dev/crashcart/bin/file --version 2>&1; true',
    expect: /file-5|exited/,
  },
  {
    name: 'perf record and report',
    takes: ['perf'],
    script:
      'perf record -q -e cpu-clock -o /tmp/perf.data -- dd if=/dev/zero of=/dev/null bs=1M count=4000 2>/dev/null; perf report -i /tmp/perf.data --stdio',
    expect: /Samples:[\s\S]*\bdd\b/,
    options: { timeoutMs: 40_000 },
  },
  {
    name: 'python3: ssl, sqlite3, ctypes, curses, the certificates',
    takes: ['python3'],
    script:
      'python3 -c \'import ssl,sqlite3,ctypes,curses,asyncio,lzma,hashlib; c=sqlite3.connect(":memory:"); print(c.execute("select 6*7").fetchone()[0], len(ssl.create_default_context().get_ca_certs())>100)\'',
    expect: /^42 True$/m,
  },
  {
    name: 'perl: core modules',
    takes: ['json_pp'],
    script: "perl -MPOSIX -MJSON::PP -MSocket -MData::Dumper -e 'print JSON::PP->new->encode({a=>6*7})'",
    expect: /"a":42/,
  },
  {
    name: 'nmap with a script',
    takes: ['nmap'],
    script: 'nmap -Pn -n -sT -p 8443 --script ssl-cert 127.0.0.1',
    expect: /8443\/tcp open[\s\S]*host\.test/,
    options: { timeoutMs: 60_000 },
  },
  {
    name: 'nft',
    takes: ['nft'],
    script: 'nft add table ip crashcart && nft list tables',
    expect: /table ip crashcart/,
  },
  {
    name: 'iptables, with a match from its own directory',
    takes: ['iptables'],
    script: 'iptables -A OUTPUT -p tcp --dport 1 -m comment --comment seen -j ACCEPT; iptables -S',
    expect: /--comment seen/,
  },
  {
    name: 'tmux',
    takes: ['tmux'],
    script:
      'tmux -S /tmp/tmux new-session -d "echo inside tmux; sleep 5" && sleep 1 && tmux -S /tmp/tmux capture-pane -p; tmux -S /tmp/tmux kill-server',
    expect: /inside tmux/,
    options: { env: { TERM: 'xterm', LC_ALL: 'C.UTF-8', SHELL: '/dev/crashcart/bin/bash' } },
  },
  {
    name: 'vim',
    takes: ['vim'],
    script: 'echo one >/tmp/text; vim -es -c "%s/one/two/" -c wq /tmp/text; cat /tmp/text',
    expect: /^two$/m,
  },
  {
    name: 'psql tries to connect',
    takes: ['psql'],
    script: 'psql -h 127.0.0.1 -p 1 -c "select 1"; true',
    expect: /Connection refused/,
  },
  {
    name: 'redis-cli tries to connect',
    takes: ['redis-cli'],
    script: 'redis-cli -p 1 ping; true',
    expect: /Connection refused/,
  },
  {
    name: 'kcat tries to connect',
    takes: ['kcat'],
    script: 'timeout 5 kcat -b 127.0.0.1:1 -L -m 2; true',
    expect: /Connect to|transport failure|Failed to acquire/,
  },
  {
    name: 'iconv from EUC-JP',
    takes: ['iconv', 'nano'],
    script: 'printf "\\306\\374\\313\\334" | iconv -f EUC-JP -t UTF-8',
    expect: /日本/,
  },
  {
    name: 'ss -tp names the process',
    takes: ['ss'],
    script: 'nc -l -p 7777 & sleep 0.5; ss -tlnp; kill $!',
    expect: /:7777 .*"nc/,
  },
  { name: 'lsof of a process', takes: ['lsof'], script: `lsof -p ${pid}`, expect: /workload.*txt.*\/app\/workload/ },
  {
    name: 'ps and top',
    takes: ['ps', 'top'],
    script: 'ps -eo pid,comm; top -bn1 | head -3',
    expect: /workload[\s\S]*Tasks:/,
    options: { env: { TERM: 'xterm' } },
  },
  {
    name: 'ip, with its names of protocols',
    takes: ['ip'],
    script: 'ip route add 192.0.2.0/24 dev lo proto static; ip route',
    expect: /proto static/,
  },
  { name: 'file, by its own magic', takes: ['file'], script: 'file /app/workload', expect: /ELF 64-bit/ },
  {
    name: 'jq, less, a pipe',
    takes: ['jq', 'less'],
    script: 'echo \'{"a":[1,2]}\' | jq -c .a | less -FX',
    expect: /\[1,2\]/,
  },
  {
    name: 'tar and zstd there and back',
    takes: ['tar', 'zstd'],
    script: 'cd /tmp && echo x >f && tar -c f | zstd -q >a.tar.zst && zstd -dcq a.tar.zst | tar -t',
    expect: /^f$/m,
  },
  { name: 'sqlite3', takes: ['sqlite3'], script: 'sqlite3 :memory: "select 6*7"', expect: /^42$/m },
  { name: 'man', takes: ['man'], script: 'man -P cat tcpdump | head -5', expect: /TCPDUMP\(8\)/ },
  { name: 'tools', takes: ['tools'], script: 'tools -1 | wc -l; tools capture', expect: /\d{3}[\s\S]*tcpdump/ },
  {
    name: 'ssh-keygen',
    takes: ['ssh-keygen'],
    script: 'ssh-keygen -q -t ed25519 -N "" -f /tmp/key && ssh-keygen -lf /tmp/key',
    expect: /ED25519/,
  },
  {
    name: 'ldd of a toolbox program',
    takes: ['ldd'],
    script: 'ldd /dev/crashcart/bin/curl',
    expect: /libcurl\.so\.4 => \/dev\/crashcart/,
  },
  {
    name: 'variables of the container reach its own programs',
    takes: ['env'],
    script: 'LD_PRELOAD=/evil/preload.so env',
    expect: /^LD_PRELOAD=\/evil\/preload\.so$/m,
  },
  {
    name: 'bpftrace: compiles, loads and runs a program in the kernel',
    takes: ['bpftrace'],
    script: `bpftrace -e 'BEGIN { printf("%d\\n", 6 * 7); exit(); }'`,
    expect: /^42$/m,
    options: { timeoutMs: 60_000 },
  },
  {
    name: 'bpftool: what the kernel can',
    takes: ['bpftool'],
    script:
      'bpftool prog list >/dev/null && bpftool -j feature probe kernel | jq -r ".syscall_config.have_bpf_syscall"',
    expect: /^true$/m,
    options: { timeoutMs: 60_000 },
  },
  {
    name: 'tshark: a live capture, dissected',
    takes: ['tshark'],
    script: `${traffic} tshark -q -i lo -c 1 -a duration:10 -f "udp port 5353" -T fields -e ip.dst -e udp.dstport`,
    expect: /^127\.0\.0\.1\t5353$/m,
    options: { timeoutMs: 60_000 },
  },
  {
    name: 'editcap and capinfos, of what tcpdump wrote',
    takes: ['editcap', 'capinfos', 'tcpdump'],
    script: `${traffic} timeout 8 tcpdump -i lo -U -c 1 -w /tmp/one.pcap udp port 5353; editcap -F pcapng /tmp/one.pcap /tmp/one.pcapng && capinfos -c /tmp/one.pcapng`,
    expect: /Number of packets: +1/,
  },
  {
    name: 'mariadb tries to connect',
    takes: ['mariadb'],
    script: 'mariadb -h 127.0.0.1 -P 1 -e "select 1"; true',
    expect: /Can't connect to server on '127\.0\.0\.1'/,
  },
  {
    name: 'a session’s shell',
    takes: ['bash'],
    script:
      '/dev/crashcart/profile/bin/bash --rcfile /dev/crashcart/.crashcartrc -ic "echo \\$PATH; echo .\\$HISTFILE."',
    expect: /\/dev\/crashcart\/bin[\s\S]*^\.\.$/m,
  },
];
