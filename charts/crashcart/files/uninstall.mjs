/**
 * Runs before `helm uninstall` removes anything (templates/uninstall.yaml), while controller and agents still work. The order matters:
 *
 * - the breaker, which would otherwise put the APIService back; then the APIService: an aggregated API without a backend stops every deletion of a namespace in the cluster;
 * - then the definition of DebugSession, from which moment the API server refuses new ones, and every session, so that the agents take everything
 *   off the nodes; what has not ended in time is let go and named, because an uninstallation must end;
 * - then the controller, and what it made by itself and helm does not know.
 *
 * No import but Node's own: it runs from a ConfigMap in whatever version of the image is installed.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const finalizer = 'crashcart.dev/session';
const pollMs = 500;
/** Of one call, all retries included: an API server may restart meanwhile. */
const callDeadlineMs = 60_000;
const attemptDeadlineMs = 10_000;
/** A controller may take its terminationGracePeriodSeconds (30) to go. */
const controllerDeadlineMs = 45_000;
const definitionDeadlineMs = 15_000;

const say = (message) => process.stdout.write(`${message}\n`);

/** Calls of the API server: a 404 gives undefined (gone is what we want), 429 and 5xx are tried again, everything else throws. */
function connect({ server, tokenFile }) {
  async function attempt(method, path, body, contentType) {
    const token = (await readFile(tokenFile, 'utf8')).trim();
    const response = await fetch(new URL(path, server), {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': contentType },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(attemptDeadlineMs),
    });
    return { status: response.status, text: await response.text() };
  }
  return async function call(method, path, body, contentType = 'application/json') {
    const deadline = Date.now() + callDeadlineMs;
    for (;;) {
      const answer = await attempt(method, path, body, contentType).catch((cause) => ({
        status: 0,
        text: String(cause.cause ?? cause),
      }));
      if (answer.status === 404) return undefined;
      if (answer.status >= 200 && answer.status < 300) return JSON.parse(answer.text);
      const passing = answer.status === 0 || answer.status === 429 || answer.status >= 500;
      if (!passing || Date.now() > deadline)
        throw new Error(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 500)}`);
      await sleep(pollMs);
    }
  };
}

async function until(deadlineMs, isDone) {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    if (await isDone()) return true;
    if (Date.now() > deadline) return false;
    await sleep(pollMs);
  }
}

const sessionPath = ({ namespace, name }) =>
  `/apis/crashcart.dev/v1alpha1/namespaces/${encodeURIComponent(namespace)}/debugsessions/${encodeURIComponent(name)}`;

/** All sessions of the cluster; none when their definition is gone. */
async function listSessions(call) {
  const sessions = [];
  let next = '';
  do {
    const page = await call(
      'GET',
      `/apis/crashcart.dev/v1alpha1/debugsessions?limit=500&continue=${encodeURIComponent(next)}`,
    );
    sessions.push(...(page?.items ?? []).map((item) => item.metadata));
    next = page?.metadata?.continue ?? '';
  } while (next !== '');
  return sessions;
}

async function endSessions(call, timeoutMs) {
  let left = [];
  const ended = await until(timeoutMs, async () => {
    left = await listSessions(call);
    for (const session of left.filter((one) => one.deletionTimestamp === undefined))
      await call('DELETE', sessionPath(session));
    return left.length === 0;
  });
  if (ended) return;
  for (const session of left) {
    say(
      `${session.namespace}/${session.name} has not ended within ${timeoutMs / 1000} s: let go, something of it may be left on its node`,
    );
    const finalizers = (session.finalizers ?? []).filter((one) => one !== finalizer);
    await call('PATCH', sessionPath(session), { metadata: { finalizers } }, 'application/merge-patch+json');
  }
}

async function stop(call, namespace, component) {
  const scale = `/apis/apps/v1/namespaces/${namespace}/deployments/crashcart-${component}/scale`;
  if ((await call('PATCH', scale, { spec: { replicas: 0 } }, 'application/merge-patch+json')) === undefined) return;
  const selector = encodeURIComponent(`app.kubernetes.io/name=crashcart,app.kubernetes.io/component=${component}`);
  const stopped = await until(controllerDeadlineMs, async () => {
    const pods = await call('GET', `/api/v1/namespaces/${namespace}/pods?limit=500&labelSelector=${selector}`);
    return (pods?.items ?? []).length === 0;
  });
  if (!stopped) say(`the ${component} has not stopped in time: it may leave something behind`);
}

async function main({ server, tokenFile, namespace, timeoutMs, keepDefinition }) {
  const call = connect({ server, tokenFile });
  const definition = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/debugsessions.crashcart.dev';

  // Or it would take the removal for a failure and put it back.
  say('stopping the breaker');
  await stop(call, namespace, 'breaker');

  say('removing the aggregated API');
  await call('DELETE', '/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.subresources.crashcart.dev');

  say('ending all sessions');
  if (!keepDefinition) await call('DELETE', definition);
  await endSessions(call, timeoutMs);
  if (
    !keepDefinition &&
    !(await until(definitionDeadlineMs, async () => (await call('GET', definition)) === undefined))
  ) {
    say('the definition of DebugSession is still being deleted: kubectl get debugsessions -A shows what holds it');
  }

  say('stopping the controller');
  await stop(call, namespace, 'controller');

  say('removing what the controller made');
  const made = [
    `/api/v1/namespaces/${namespace}/secrets/crashcart-ca`,
    `/api/v1/namespaces/${namespace}/secrets/crashcart-serving`,
    `/api/v1/namespaces/${namespace}/configmaps/crashcart-ca`,
    `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/crashcart-controller`,
  ];
  for (const path of made) await call('DELETE', path);
}

const { env } = process;
const host = env.KUBERNETES_SERVICE_HOST ?? '';
await main({
  server: `https://${host.includes(':') ? `[${host}]` : host}:${env.KUBERNETES_SERVICE_PORT}`,
  tokenFile: env.TOKEN_FILE ?? '/var/run/secrets/kubernetes.io/serviceaccount/token',
  namespace: env.NAMESPACE,
  timeoutMs: Number(env.TIMEOUT_SECONDS) * 1000,
  keepDefinition: env.KEEP_DEFINITION === 'true',
});
