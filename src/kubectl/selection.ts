import type { CommandLine } from './command-line.ts';

/** What a person typed about the connection, unread. */
export interface Selection {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly cluster?: string;
  readonly user?: string;
  readonly namespace?: string;
  readonly server?: string;
  readonly token?: string;
  readonly certificateAuthority?: string;
  readonly tlsServerName?: string;
  readonly insecure?: boolean;
  readonly as?: string;
  readonly asUid?: string;
  readonly asGroups?: readonly string[];
  /** `key=value`, as they were typed. */
  readonly asExtras?: readonly string[];
  readonly clientCertificate?: string;
  readonly clientKey?: string;
  readonly username?: string;
  readonly password?: string;
  readonly proxyUrl?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export function selectionOf(line: CommandLine, env: Selection['env']): Selection {
  const named = {
    kubeconfig: line.text('kubeconfig'),
    context: line.text('context'),
    cluster: line.text('cluster'),
    user: line.text('user'),
    namespace: line.text('namespace'),
    server: line.text('server'),
    token: line.text('token'),
    certificateAuthority: line.text('certificate-authority'),
    tlsServerName: line.text('tls-server-name'),
    insecure: line.switch('insecure-skip-tls-verify'),
    as: line.text('as'),
    asUid: line.text('as-uid'),
    clientCertificate: line.text('client-certificate'),
    clientKey: line.text('client-key'),
    username: line.text('username'),
    password: line.text('password'),
    proxyUrl: line.text('proxy-url'),
  };
  const given = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined && value !== ''));
  return { ...given, asGroups: line.texts('as-group'), asExtras: line.texts('as-user-extra'), env };
}
