import type { RuntimeInfo } from './runtime-spec.ts';

/** Anything else runs in a machine or a kernel of its own, where a pid of this node means nothing. */
const runcLikeShim = /^io\.containerd\.(runc\.v[12]|runtime\.v1\.linux)$/;
const sandboxedBinary = /(^|\/)(runsc|kata-runtime|kata|runhcs|crun-(vm|wasm)|krun)$/;

/** By the names of the shim and of the OCI runtime, as far as the container runtime says them. */
export const isSandboxed = ({
  runtimeType,
  runtimeBinary,
}: Pick<RuntimeInfo, 'runtimeType' | 'runtimeBinary'>): boolean =>
  (runtimeType !== undefined && !runcLikeShim.test(runtimeType)) ||
  (runtimeBinary !== undefined && sandboxedBinary.test(runtimeBinary));
