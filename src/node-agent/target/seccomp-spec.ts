/** The container's own filter, as the OCI runtime specification has it (`linux.seccomp`), in our words. */
import { type Condition, errno, type Rule, type SeccompFilter, type Verdict } from '../../linux/seccomp/filter.ts';

type Json = Readonly<Record<string, unknown>>;

/** More than any filter in earnest; the kernel's own limit comes later. */
const maxRules = 2_000;
const maxConditions = 6;

/**
 * undefined where the container has none (unconfined). What is not understood is as tight as can be: an unknown action, `SCMP_ACT_NOTIFY` and
 * `SCMP_ACT_TRACE` (who would be asked is not here) refuse the call, an unknown comparison never holds for an action that allows.
 */
export function parseSeccomp(value: unknown): SeccompFilter | undefined {
  if (!isObject(value)) return undefined;
  const otherwise = verdictOf(value['defaultAction'], value['defaultErrnoRet']);
  const rules = list(value['syscalls']).slice(0, maxRules).flatMap(parseRule);
  // runc's way: a call that was not known when the filter was written is answered as an old kernel would, so that programs try the older one.
  const unknown = typeof otherwise === 'object' ? { errno: errno.ENOSYS } : otherwise;
  return { rules, otherwise, unknown };
}

function parseRule(value: unknown): readonly Rule[] {
  if (!isObject(value)) return [];
  const names = list(value['names']).filter((name) => typeof name === 'string');
  const verdict = verdictOf(value['action'], value['errnoRet']);
  const conditions = list(value['args']).slice(0, maxConditions).map(parseCondition);
  const when = conditions.filter((condition) => condition !== undefined);
  if (when.length < conditions.length) return verdict === 'allow' || verdict === 'log' ? [] : [{ names, verdict }];
  // As libseccomp is used by runc: several conditions on one argument are alternatives, on different ones they must all hold.
  const once = new Set(when.map(({ argument }) => argument)).size === when.length;
  return once ? [{ names, verdict, when }] : when.map((condition) => ({ names, verdict, when: [condition] }));
}

const comparisons: Readonly<Record<string, Condition['is']>> = {
  SCMP_CMP_EQ: 'equal',
  SCMP_CMP_NE: 'not equal',
  SCMP_CMP_LT: 'less',
  SCMP_CMP_LE: 'less or equal',
  SCMP_CMP_GT: 'greater',
  SCMP_CMP_GE: 'greater or equal',
  SCMP_CMP_MASKED_EQ: 'masked',
};

function parseCondition(value: unknown): Condition | undefined {
  if (!isObject(value)) return undefined;
  const [index, is] = [value['index'], comparisons[String(value['op'])]];
  if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index > 5 || is === undefined)
    return undefined;
  const [first, second] = [word(value['value']), word(value['valueTwo'])];
  if (first === undefined || second === undefined) return undefined;
  // In the specification `value` is the mask and `valueTwo` what is left of the argument.
  return is === 'masked' ? { argument: index, is, mask: first, value: second } : { argument: index, is, value: first };
}

/** JSON numbers above 2^53 are not exact: a comparison with one is not understood. Left out is 0, as in Go. */
const word = (value: unknown = 0): bigint | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : undefined;

function verdictOf(action: unknown, number: unknown): Verdict {
  if (action === 'SCMP_ACT_ALLOW') return 'allow';
  if (action === 'SCMP_ACT_LOG') return 'log';
  if (typeof action === 'string' && (action.startsWith('SCMP_ACT_KILL') || action === 'SCMP_ACT_TRAP')) return 'kill';
  const given = action === 'SCMP_ACT_ERRNO' && typeof number === 'number' && number >= 0 && number < 4096;
  return { errno: given ? number : errno.EPERM };
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
