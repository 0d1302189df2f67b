import type { ProfileName } from '../../api/debug-session.ts';
import { defaultShell } from '../../api/names.ts';
import { CrashcartError, reasons } from '../../base/errors.ts';
import type { Placements } from '../../node-agent/mount/placements.ts';
import { startProcess } from '../../node-agent/session/process.ts';
import type { Toolboxes } from '../../node-agent/toolbox/toolboxes.ts';
import { type Host, hasInput, say } from '../host.ts';
import type { Image } from '../image/find-image.ts';
import type { Node } from '../node.ts';
import { holdMount, releaseMount } from '../state/mounts.ts';
import { identityOf, type SessionRecord } from '../state/records.ts';
import type { NodeTarget } from '../target/find.ts';
import { titleOf } from '../target/match.ts';
import { bridge } from './bridge.ts';
import { nameOf } from './container-name.ts';
import { environmentFor } from './environment.ts';
import { rulesFor, type User } from './request.ts';

export interface Visit {
  readonly target: NodeTarget;
  readonly image: Image;
  /** Empty: an interactive bash. */
  readonly command: readonly string[];
  readonly profile: ProfileName;
  readonly capabilities: readonly string[];
  readonly user?: User;
  readonly private: boolean;
}

/** Runs a command in a container on our own terminal or streams, from placing the toolbox to taking it away; the exit code. */
export async function visit(request: Visit, node: Node, host: Host): Promise<number> {
  const { target, profile, user, command } = request;
  const tty = Boolean(host.stdin.isTTY && host.stdout.isTTY);
  const session = await openSession(request, node, host);
  try {
    using deps = node.sessions({ toolboxes: session.toolboxes, placements: session.placements });
    const process = await startProcess(
      {
        uid: session.uid,
        target,
        toolbox: request.image.key,
        profile,
        rules: rulesFor(profile, request.capabilities),
        tty,
        stdin: hasInput(),
        visibility: request.private ? 'Session' : 'Container',
        endsWithUs: true,
        env: environmentFor({
          candidate: target.candidate,
          spec: target.spec,
          uid: user?.uid,
          term: tty ? host.env['TERM'] : undefined,
        }),
        command: command.length > 0 ? command : shellFor(tty),
        ...(user ? { user } : {}),
        ...(tty ? { size: sizeOf(host) } : {}),
      },
      deps,
    );
    const exit = await bridge(process, host, tty).finally(async () => {
      const { leftovers } = await process.cleanup();
      if (leftovers) say(host, `this could not be removed: ${leftovers}`);
    });
    if (exit.containerExited) say(host, `${titleOf(target.candidate)} has ended, and the session with it.`);
    return exit.code;
  } finally {
    await session.close();
  }
}

/** Without a terminal a shell reads its script from standard input, and neither prompts nor greets. */
const shellFor = (tty: boolean): readonly string[] => (tty ? defaultShell : defaultShell.slice(0, 1));

const sizeOf = (host: Host): { width: number; height: number } => {
  const [width, height] = host.stdout.getWindowSize();
  return { width, height };
};

interface OpenSession {
  readonly uid: string;
  readonly toolboxes: Toolboxes;
  readonly placements: Placements;
  close(): Promise<void>;
}

/** Its record is there before anything else is, so that a crash leaves nothing that the next crashcart would not find. */
async function openSession({ target, image, private: hidden }: Visit, node: Node, host: Host): Promise<OpenSession> {
  const { state, kernel, entry } = node;
  const owner = identityOf(host.pid);
  // No two processes of a boot are called so. (Chance would be as good, and takes five milliseconds to load.)
  const uid = `${owner.pid}-${owner.startTime}`;
  const record: SessionRecord = {
    uid,
    owner,
    container: nameOf(target),
    mountNamespace: target.mountNamespace,
    image: { name: image.name, key: image.key },
    private: hidden,
    since: new Date().toISOString(),
  };
  await state.change(async () => {
    state.sessions.write(uid, record);
    try {
      state.images.attach(image);
    } catch (error) {
      state.sessions.erase(uid);
      throw error;
    }
  });
  const mounts = { kernel, entry, records: state.mounts };
  return {
    uid,
    toolboxes: { names: () => [image.name], clone: (key) => state.images.clone(key), [Symbol.dispose]: () => {} },
    placements: {
      // One superblock an image: what has another device number is another image, and keeps us out.
      standing: () => undefined,
      acquire: async (_target, _toolbox, mount) => {
        await state.change(() =>
          holdMount(mounts, { ...target, container: record.container }, record.image, mount, owner),
        );
        return {
          release: async () => {
            try {
              await state.change(() => releaseMount(mounts, target.mountNamespace, owner));
              return {};
            } catch (error) {
              return {
                leftovers: `the toolbox in ${record.container.label}: ${CrashcartError.from(error, reasons.Internal).message}`,
              };
            }
          },
        };
      },
    },
    close: () => state.change(async () => state.sessions.erase(uid)),
  };
}
