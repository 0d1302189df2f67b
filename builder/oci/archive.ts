import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { inScratch } from '../scratch.ts';
import { type TarEntry, tarReadable } from './tar.ts';

export type { TarEntry } from './tar.ts';

export interface ImageConfig {
  entrypoint: readonly string[];
  cmd?: readonly string[];
  /** `uid` or `uid:gid`, as numbers: kubelet cannot prove runAsNonRoot of a name. */
  user?: string;
  env?: Readonly<Record<string, string>>;
  workingDir?: string;
  labels?: Readonly<Record<string, string>>;
}

export interface Layer {
  entries: readonly TarEntry[];
  /** Compresses the file at `path`, whose digest is given, as zstd, and tells where the result is. It always gives the same bytes. */
  compress?: (path: string, digest: string) => Promise<string>;
}

export interface Image {
  /** Full reference with a tag, or what makes one of the digest: `localhost/crashcart:0.1.0-0123456789ab`. */
  ref: string | ((digest: string) => string);
  /** Lowest layer first. */
  layers: readonly Layer[];
  config: ImageConfig;
  /** Of the manifest, besides the labels. */
  annotations?: Readonly<Record<string, string>>;
  /** Path of the tar to write; replaced atomically. */
  out: string;
  /** Seconds since 1970 for every time stamp; 0 unless given. */
  epoch?: number;
  /** OCI architecture name; this machine's unless given. */
  architecture?: 'amd64' | 'arm64';
}

export interface Written {
  /** Of the manifest. */
  digest: string;
  ref: string;
}

interface Blob {
  digest: string;
  size: number;
  path: string;
  /** Digest before compression. */
  diffId: string;
  mediaType: string;
}

const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  // Not compressed unless a layer says how: the bytes would follow the zlib of whoever builds, and a local import is faster without.
  layer: 'application/vnd.oci.image.layer.v1.tar',
  zstdLayer: 'application/vnd.oci.image.layer.v1.tar+zstd',
} as const;

/**
 * Writes one image as a tar that is an OCI layout and a docker archive at once, so that `ctr -n k8s.io images import`,
 * `docker load` and `podman load` all take it. The same input gives the same bytes.
 */
export const writeImage = (image: Image): Promise<Written> =>
  inScratch(image.out, (scratch) => assemble(image, scratch));

async function assemble(image: Image, scratch: string): Promise<Written> {
  const epoch = image.epoch ?? 0;
  const layers: Blob[] = [];
  for (const layer of image.layers) layers.push(await writeBlob(join(scratch, `layer-${layers.length}`), layer, epoch));

  const config = jsonBlob(configOf(image, layers, epoch));
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: { mediaType: mediaTypes.config, digest: config.digest, size: config.size },
    layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    ...((image.config.labels || image.annotations) && {
      annotations: sorted({ ...image.config.labels, ...image.annotations }),
    }),
  });
  const ref = typeof image.ref === 'string' ? image.ref : image.ref(manifest.digest);
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: [
      {
        mediaType: mediaTypes.manifest,
        digest: manifest.digest,
        size: manifest.size,
        platform: { architecture: architectureOf(image), os: 'linux' },
        // containerd reads the first name, podman and skopeo the second.
        annotations: { 'io.containerd.image.name': ref, 'org.opencontainers.image.ref.name': ref },
      },
    ],
  };
  const docker = [
    { Config: blobPath(config.digest), RepoTags: [ref], Layers: layers.map(({ digest }) => blobPath(digest)) },
  ];

  const blobs = new Map<string, TarEntry>();
  for (const { digest, path } of layers) blobs.set(digest, { path: blobPath(digest), type: 'file', source: path });
  for (const { digest, content } of [config, manifest])
    blobs.set(digest, { path: blobPath(digest), type: 'file', content });
  const whole: TarEntry[] = [
    ...blobs.values(),
    { path: 'index.json', type: 'file', content: JSON.stringify(index) },
    { path: 'manifest.json', type: 'file', content: JSON.stringify(docker) },
    { path: 'oci-layout', type: 'file', content: JSON.stringify({ imageLayoutVersion: '1.0.0' }) },
  ];
  const temporary = join(scratch, `image-${randomBytes(4).toString('hex')}`);
  await pipeline(tarReadable(whole, epoch), createWriteStream(temporary, { mode: 0o644 }));
  await rename(temporary, image.out);
  return { digest: manifest.digest, ref };
}

async function writeBlob(path: string, { entries, compress }: Layer, epoch: number): Promise<Blob> {
  const hash = createHash('sha256');
  const hashed = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(tarReadable(entries, epoch), hashed, createWriteStream(path));
  const digest = `sha256:${hash.digest('hex')}`;
  if (!compress) return { digest, size: (await stat(path)).size, path, diffId: digest, mediaType: mediaTypes.layer };
  const compressed = await compress(path, digest);
  return {
    digest: `sha256:${await sha256Of(compressed)}`,
    size: (await stat(compressed)).size,
    path: compressed,
    diffId: digest,
    mediaType: mediaTypes.zstdLayer,
  };
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}

function jsonBlob(value: object): { digest: string; size: number; content: Buffer } {
  const content = Buffer.from(JSON.stringify(value));
  return { digest: `sha256:${createHash('sha256').update(content).digest('hex')}`, size: content.length, content };
}

function configOf({ config, ...image }: Image, layers: readonly Blob[], epoch: number): object {
  const created = new Date(epoch * 1000).toISOString();
  return {
    created,
    architecture: architectureOf(image),
    os: 'linux',
    config: {
      ...(config.user !== undefined && { User: config.user }),
      Env: Object.entries(sorted(config.env ?? {})).map(([name, value]) => `${name}=${value}`),
      Entrypoint: config.entrypoint,
      ...(config.cmd && { Cmd: config.cmd }),
      WorkingDir: config.workingDir ?? '/',
      ...(config.labels && { Labels: sorted(config.labels) }),
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(() => ({ created, created_by: 'crashcart builder' })),
  };
}

const architectureOf = ({ architecture }: Pick<Image, 'architecture'>): string =>
  architecture ?? (process.arch === 'x64' ? 'amd64' : process.arch);

const blobPath = (digest: string) => `blobs/sha256/${digest.replace('sha256:', '')}`;

const sorted = (record: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
