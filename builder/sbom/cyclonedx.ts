import { createHash } from 'node:crypto';
import { Enums, Models, Serialize, Spec } from '@cyclonedx/cyclonedx-library';
import { sourceFileOf } from '../debian/licences.ts';
import { type Lock, type LockedPackage, lockText, packagesOf } from '../debian/lock.ts';
import { versionOf } from '../paths.ts';

const { Component, Hash, Property } = {
  Component: Models.Component,
  Hash: Models.HashDictionary,
  Property: Models.Property,
};

/**
 * The bill of materials of a toolbox, as CycloneDX 1.6 JSON: every Debian package with its version, digest and source, and what depends
 * on what. The same lock gives the same bytes.
 */
export function billOfMaterials(lock: Lock, toolbox: string): string {
  const packages = packagesOf(lock, toolbox);
  const components = new Map(packages.map((locked) => [locked.name, componentOf(locked, lock)]));
  for (const { name, depends } of packages)
    for (const each of depends) {
      const needed = components.get(each);
      if (needed) components.get(name)?.dependencies.add(needed.bomRef);
    }
  const bom = new Models.Bom({
    serialNumber: serialNumber(lock, toolbox),
    metadata: new Models.Metadata({
      timestamp: new Date(lock.epoch * 1000),
      component: new Component(Enums.ComponentType.Container, `crashcart-toolbox-${toolbox}`, {
        version: versionOf(),
        bomRef: `toolbox:${toolbox}`,
      }),
    }),
  });
  for (const component of components.values()) bom.components.add(component);
  const factory = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6);
  return `${new Serialize.JsonSerializer(factory).serialize(bom, { sortLists: true, space: 1 })}\n`;
}

function componentOf(locked: LockedPackage, lock: Lock): Models.Component {
  const architecture = locked.path.endsWith('_all.deb') ? 'all' : lock.architecture;
  const version = encodeURIComponent(locked.version);
  return new Component(Enums.ComponentType.Library, locked.name, {
    version: locked.version,
    bomRef: `deb:${locked.name}`,
    purl: `pkg:deb/debian/${encodeURIComponent(locked.name)}@${version}?arch=${architecture}&distro=${lock.suite}`,
    hashes: new Hash([[Enums.HashAlgorithm['SHA-256'], locked.sha256]]),
    properties: new Models.PropertyRepository([
      new Property('crashcart:archive', locked.archive),
      new Property('crashcart:path', locked.path),
      new Property('crashcart:source', locked.source),
      new Property('crashcart:source-path', sourceFileOf(locked)),
    ]),
  });
}

/** A UUID that follows from what is described: another lock, another number. */
function serialNumber(lock: Lock, toolbox: string): string {
  const hex = createHash('sha256')
    .update(`${toolbox}\0${lockText(lock)}`)
    .digest('hex');
  const variant = ((Number.parseInt(hex.slice(16, 18), 16) & 0x3f) | 0x80).toString(16);
  return `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(18, 20)}-${hex.slice(20, 32)}`;
}
