import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TarEntry, writeImage } from '../../builder/oci/archive.ts';
import { clusterCache, once } from './build.ts';
import { busyboxStatic } from './busybox.ts';
import { run } from './command.ts';

/** References that no kubelet looks up anywhere: pods that use them say `imagePullPolicy: Never` or `IfNotPresent`. */
export const testImages = {
  pause: 'localhost/pause:1',
  /** One static program, no shell, no /tmp, no /etc/passwd; runs as 65532. */
  distroless: 'localhost/distroless:1',
  busybox: 'localhost/busybox:1',
} as const;

type Programs = Readonly<Record<'pause' | 'workload' | 'busybox', string>>;

const program = (path: string, source: string): TarEntry => ({ path, type: 'file', mode: 0o755, source });

async function busyboxEntries(busybox: string): Promise<TarEntry[]> {
  const names = (await run(busybox, ['--list'])).split('\n').filter((name) => name !== '' && name !== 'busybox');
  return [
    program('bin/busybox', busybox),
    ...names.map((name): TarEntry => ({ path: `bin/${name}`, type: 'symlink', target: 'busybox' })),
    { path: 'etc/passwd', type: 'file', content: 'root:x:0:0:root:/:/bin/sh\n' },
    { path: 'tmp', type: 'directory', mode: 0o1777 },
  ];
}

async function write(directory: string, { pause, workload, busybox }: Programs): Promise<void> {
  const out = (name: string): string => join(directory, `${name}.tar`);
  const env = { PATH: '/bin' };
  await writeImage({
    ref: testImages.pause,
    layers: [{ entries: [program('pause', pause)] }],
    config: { entrypoint: ['/pause'], user: '65535:65535' },
    out: out('pause'),
  });
  await writeImage({
    ref: testImages.distroless,
    layers: [{ entries: [program('workload', workload)] }],
    config: { entrypoint: ['/workload'], user: '65532:65532', env },
    out: out('distroless'),
  });
  await writeImage({
    ref: testImages.busybox,
    layers: [{ entries: await busyboxEntries(busybox) }],
    config: { entrypoint: ['/bin/sh', '-c', 'trap exit TERM; while :; do sleep 3600 & wait $!; done'], env },
    out: out('busybox'),
  });
}

/** Tars of the test images, made once for every version of their sources. */
export async function buildTestImages(): Promise<Readonly<Record<keyof typeof testImages, string>>> {
  const sources = ['pause.c', 'workload.c', 'test-images.ts', 'busybox.ts'].map((file) =>
    join(import.meta.dirname, file),
  );
  const hash = createHash('sha256');
  for (const source of sources) hash.update(readFileSync(source));
  const directory = join(clusterCache(), `images-${hash.digest('hex').slice(0, 16)}`);
  await once(directory, async (temporary) => {
    const compiled = join(temporary, 'programs');
    mkdirSync(compiled);
    const compile = async (name: string): Promise<string> => {
      const output = join(compiled, name);
      await run('gcc', [
        '-static',
        '-Os',
        '-s',
        '-Wall',
        '-Werror',
        '-o',
        output,
        join(import.meta.dirname, `${name}.c`),
      ]);
      return output;
    };
    const busybox = join(compiled, 'busybox');
    writeFileSync(busybox, await busyboxStatic(), { mode: 0o755 });
    await write(temporary, { pause: await compile('pause'), workload: await compile('workload'), busybox });
  });
  const tar = (name: string): string => join(directory, `${name}.tar`);
  return { pause: tar('pause'), distroless: tar('distroless'), busybox: tar('busybox') };
}
