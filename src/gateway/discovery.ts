import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import {
  attachSubresource,
  kind,
  plural,
  recordingSubresource,
  subresourceApiVersion,
  subresourceGroup,
  version,
} from '../api/names.ts';

/**
 * The discovery documents: constants that answer whatever else is broken. While they do not, the API server calls the group
 * stale and no namespace in the cluster can be deleted (docs/stream.md, hazards). No list, watch or delete verb may ever
 * stand here, or the garbage collector and the namespace controller would start to use the group.
 */
export interface Answer {
  readonly code: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const verbs = ['create', 'get'] as const;
const attachKind = 'DebugSessionAttachOptions';
const recordingKind = 'DebugSessionRecording';
const recordingVerbs = ['get'] as const;

const groupVersion = { groupVersion: subresourceApiVersion, version } as const;
const apiGroup = { name: subresourceGroup, versions: [groupVersion], preferredVersion: groupVersion } as const;

const resourceList = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: subresourceApiVersion,
  resources: [
    { name: `${plural}/${attachSubresource}`, singularName: '', namespaced: true, kind: attachKind, verbs },
    {
      name: `${plural}/${recordingSubresource}`,
      singularName: '',
      namespaced: true,
      kind: recordingKind,
      verbs: recordingVerbs,
    },
  ],
} as const;

/** `responseKind` is never left out: clients of 0.26 dereference it. */
const aggregated = (discoveryVersion: string) => ({
  kind: 'APIGroupDiscoveryList',
  apiVersion: `apidiscovery.k8s.io/${discoveryVersion}`,
  metadata: {},
  items: [
    {
      metadata: { name: subresourceGroup, creationTimestamp: null },
      versions: [
        {
          version,
          freshness: 'Current',
          resources: [
            {
              resource: plural,
              responseKind: { group: '', version: '', kind },
              scope: 'Namespaced',
              singularResource: '',
              verbs: [],
              subresources: [
                { subresource: attachSubresource, responseKind: { group: '', version: '', kind: attachKind }, verbs },
                {
                  subresource: recordingSubresource,
                  responseKind: { group: '', version: '', kind: recordingKind },
                  verbs: recordingVerbs,
                },
              ],
            },
          ],
        },
      ],
    },
  ],
});

function document(value: unknown, contentType = 'application/json'): Answer {
  const body = JSON.stringify(value);
  const etag = `"${createHash('sha256').update(body).digest('hex').toUpperCase()}"`;
  return { code: 200, headers: { 'content-type': contentType, etag, vary: 'Accept' }, body };
}

const aggregatedDocument = (discoveryVersion: string): Answer =>
  document(
    aggregated(discoveryVersion),
    `application/json;g=apidiscovery.k8s.io;v=${discoveryVersion};as=APIGroupDiscoveryList`,
  );

/** Answers a discovery request; undefined when `path` (without its query) is none. */
export type Discovery = (path: string, headers: IncomingHttpHeaders) => Answer | undefined;

/** Makes the documents once; the answers touch no lock, no cache and no API server. */
export function createDiscovery(): Discovery {
  const documents: ReadonlyMap<string, Answer> = new Map([
    ['/apis', document({ kind: 'APIGroupList', apiVersion: 'v1', groups: [apiGroup] })],
    [`/apis/${subresourceGroup}`, document({ kind: 'APIGroup', apiVersion: 'v1', ...apiGroup })],
    [`/apis/${subresourceApiVersion}`, document(resourceList)],
  ]);
  const aggregatedDocuments: ReadonlyMap<string, Answer> = new Map([
    ['v2', aggregatedDocument('v2')],
    ['v2beta1', aggregatedDocument('v2beta1')],
  ]);
  return (path, headers) => {
    const trimmed = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
    const wanted = trimmed === '/apis' ? aggregatedVersion(headers.accept ?? '') : undefined;
    const answer = wanted === undefined ? documents.get(trimmed) : aggregatedDocuments.get(wanted);
    const known = headers['if-none-match'];
    const unchanged = known !== undefined && known === answer?.headers['etag'];
    return answer && unchanged ? { code: 304, headers: answer.headers, body: '' } : answer;
  };
}

/** The version of the first media type of `Accept` that is aggregated discovery in a form that we have. */
function aggregatedVersion(accept: string): 'v2' | 'v2beta1' | undefined {
  for (const type of accept.split(',')) {
    const parameters = new Map(type.split(';').map((part) => pairOf(part)));
    if (parameters.get('g') !== 'apidiscovery.k8s.io' || parameters.get('as') !== 'APIGroupDiscoveryList') continue;
    const asked = parameters.get('v');
    if (asked === 'v2' || asked === 'v2beta1') return asked;
  }
  return undefined;
}

function pairOf(part: string): readonly [string, string] {
  const [name = '', value = ''] = part.split('=', 2);
  return [name.trim().toLowerCase(), value.trim()];
}
