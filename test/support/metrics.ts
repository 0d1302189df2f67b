import { must } from './dry-run.ts';

const system = 'crashcart-system';

/** A metric of each running pod of a component of the installation. */
export async function metricsOf(component: string, name: string): Promise<readonly number[]> {
  const selector = ['-l', `app.kubernetes.io/component=${component}`, '--field-selector=status.phase=Running'];
  const pods = await must('get', 'pods', '-n', system, ...selector, '-o', 'jsonpath={.items[*].metadata.name}');
  return await Promise.all(
    pods.split(' ').map(async (pod) => {
      const text = await must('get', '--raw', `/api/v1/namespaces/${system}/pods/${pod}:9090/proxy/metrics`);
      return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
    }),
  );
}
