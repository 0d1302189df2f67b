import { usage } from './command-line.ts';

/** The session that a person named, also as `kubectl get -o name` prints it. `verb` is for the message. @throws CrashcartError Invalid */
export function sessionName(text: string | undefined, verb: string): string {
  const name = text?.replace(/^(debugsessions?(\.crashcart\.dev)?|dbg)\//, '') ?? '';
  if (/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name)) return name;
  throw usage(`name a session: kubectl crashcart ${verb} SESSION, see "kubectl crashcart ls"`);
}
