import { X509Certificate } from 'node:crypto';
import { apiServiceName, caConfigMap, caConfigMapKey } from '../../api/names.ts';
import { installHint } from '../api-refusal.ts';
import type { Fact, Facts, Right } from './facts.ts';
import { type Finding, unanswered } from './finding.ts';
import { nodeFindings } from './nodes.ts';
import type { ApiService, ConfigMap, Deployment, Policy } from './objects.ts';

const renewBeforeMs = 14 * 86_400_000;

/** What the facts mean; no more than that. `now` in milliseconds since 1970. */
export function findingsOf(facts: Facts, now: number): readonly Finding[] {
  if (!facts.sessionsApi.known && facts.sessionsApi.why === 'absent') {
    return [
      identity(facts),
      { check: 'installation', state: 'fault', says: 'there is no DebugSession API', next: installHint },
    ];
  }
  return [
    identity(facts),
    sessionsApi(facts),
    ...facts.rights.map(({ right, allowed }) => rightFinding(facts, right, allowed)),
    attachApi(facts),
    certificate(facts, now),
    controller(facts),
    policy(facts.policy),
    ...nodeFindings(facts),
  ];
}

function identity({ whoami }: Facts): Finding {
  const check = 'you';
  if (!whoami.known) return unanswered(check, 'name by which the cluster knows you', whoami);
  const { username, groups } = whoami.value;
  if (username === 'system:anonymous') {
    return {
      check,
      state: 'fault',
      says: 'the cluster does not know who you are',
      next: 'log in, then see "kubectl auth whoami"',
    };
  }
  return {
    check,
    state: 'ok',
    says: `${username || 'unknown'}${groups.length > 0 ? `, in ${groups.join(', ')}` : ''}`,
  };
}

function sessionsApi({ sessionsApi }: Facts): Finding {
  const check = 'sessions API';
  if (sessionsApi.known) return { check, state: 'ok', says: 'DebugSession is served' };
  return unanswered(check, 'DebugSession API', sessionsApi);
}

function rightFinding(
  { namespace, whoami }: Facts,
  { verb, resource, name }: Right,
  allowed: Facts['rights'][number]['allowed'],
): Finding {
  const check = 'right';
  const what = `${verb} ${resource}${name ? ` "${name}"` : ''} in namespace ${namespace}`;
  if (!allowed.known) return unanswered(check, `right to ${what}`, allowed);
  if (allowed.value.status?.allowed) return { check, state: 'ok', says: `you may ${what}` };
  const user = (whoami.known && whoami.value.username) || 'YOU';
  const grant =
    resource === 'pods/exec'
      ? 'a role with create pods/exec; crashcart-user does not bring it'
      : `kubectl create rolebinding crashcart-user -n ${namespace} --clusterrole=crashcart-user --user=${JSON.stringify(user)}`;
  return { check, state: 'fault', says: `you may not ${what}`, next: `ask an administrator for: ${grant}` };
}

function attachApi({ attachApi, apiService, frontDoor, installation }: Facts): Finding {
  const check = 'attach API';
  if (frontDoor) return throughFrontDoor(frontDoor.reached, installation);
  const available = apiService.known
    ? apiService.value.status?.conditions?.find(({ type }) => type === 'Available')
    : undefined;
  if (attachApi.known) return { check, state: 'ok', says: 'the API server reaches the gateway' };
  if (!apiService.known && apiService.why === 'absent') {
    return {
      check,
      state: 'fault',
      says: `the APIService ${apiServiceName} is not there, so nobody can attach`,
      next: `helm upgrade crashcart charts/crashcart -n ${installation} --reuse-values`,
    };
  }
  return {
    check,
    state: 'fault',
    says: `the API server does not reach the gateway: ${available ? `${available.reason}: ${available.message}` : attachApi.message}`,
    // While it is so, the deletion of any namespace waits for it: that is worth a line of its own.
    next: `kubectl -n ${installation} get pods -l app.kubernetes.io/component=controller; if it stays so, namespaces cannot be deleted: kubectl delete apiservice ${apiServiceName} frees them, helm upgrade brings it back`,
  };
}

function throughFrontDoor(reached: Fact<unknown>, installation: string): Finding {
  const check = 'front door';
  if (reached.known)
    return { check, state: 'ok', says: 'the gateway is reached through its Service (attach.mode Ticket)' };
  if (reached.why === 'forbidden') {
    return {
      check,
      state: 'fault',
      says: `you may not get services/proxy of the gateway in namespace ${installation}`,
      next: 'ask an administrator to name you in attach.ticket.subjects of the chart',
    };
  }
  return {
    check,
    state: 'fault',
    says: `the API server does not reach the gateway: ${reached.message}`,
    next: `kubectl -n ${installation} get pods -l app.kubernetes.io/component=controller`,
  };
}

function certificate({ apiService, frontDoor, installation }: Facts, now: number): Finding {
  const check = 'certificates';
  const from = frontDoor ? frontDoor.authority : apiService;
  if (!from.known)
    return unanswered(check, frontDoor ? `ConfigMap ${caConfigMap}` : `APIService ${apiServiceName}`, from);
  const bundle = bundleOf(from.value);
  const again = `kubectl -n ${installation} logs -l app.kubernetes.io/component=controller | grep -i certificate`;
  if (!bundle) return { check, state: 'fault', says: 'the controller has not published its authority', next: again };
  const authority = readCertificate(bundle);
  if (!authority)
    return {
      check,
      state: 'fault',
      says: 'what the controller has published as its authority is no certificate',
      next: again,
    };
  const until = authority.validToDate;
  const day = until.toISOString().slice(0, 10);
  if (until.getTime() < now)
    return { check, state: 'fault', says: `the authority is no longer valid since ${day}`, next: again };
  if (until.getTime() < now + renewBeforeMs) {
    return {
      check,
      state: 'warning',
      says: `the authority is valid until ${day} only; the leader should have renewed it`,
      next: again,
    };
  }
  return { check, state: 'ok', says: `the authority is valid until ${day}` };
}

/** PEM; '' where there is none yet. */
const bundleOf = (from: ApiService | ConfigMap): string =>
  'data' in from
    ? (from.data?.[caConfigMapKey] ?? '')
    : Buffer.from(('spec' in from && from.spec?.caBundle) || '', 'base64').toString('utf8');

function readCertificate(bundle: string): X509Certificate | undefined {
  try {
    return new X509Certificate(bundle);
  } catch {
    return undefined;
  }
}

function controller({ controller, installation }: Facts): Finding {
  const check = 'controller';
  if (!controller.known) return unanswered(check, `Deployment crashcart-controller in ${installation}`, controller);
  const { ready, wanted, image } = replicasOf(controller.value);
  const says = `${ready} of ${wanted} replicas ready (${image})`;
  const next = `kubectl -n ${installation} describe pods -l app.kubernetes.io/component=controller`;
  if (ready === 0) return { check, state: 'fault', says, next };
  return ready < wanted ? { check, state: 'warning', says, next } : { check, state: 'ok', says };
}

const replicasOf = ({ spec, status }: Deployment) => ({
  ready: status?.readyReplicas ?? 0,
  wanted: spec?.replicas ?? 1,
  image: spec?.template?.spec?.containers?.[0]?.image ?? 'no image',
});

function policy(binding: Fact<Policy>): Finding {
  const check = 'admission';
  const next = 'helm upgrade the chart: without its policy, who may create sessions is not bound to who may exec';
  if (!binding.known) {
    if (binding.why === 'absent') return { check, state: 'fault', says: 'the admission policy is not bound', next };
    return unanswered(check, 'admission policy', binding);
  }
  if (binding.value.spec?.validationActions?.includes('Deny'))
    return { check, state: 'ok', says: 'the admission policy is in force' };
  return { check, state: 'fault', says: 'the admission policy does not deny anything', next };
}
