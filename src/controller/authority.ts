// @peculiar/x509 resolves its algorithms through decorators' metadata and throws without this.
import 'reflect-metadata';
import { createPrivateKey, X509Certificate as NodeCertificate, randomBytes, type webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** A key and its certificate in PEM. An authority's `cert` may hold its predecessor after it. */
export interface KeyPair {
  readonly key: string;
  readonly cert: string;
}

const dayMs = 86_400_000;
const authorityMs = 3_650 * dayMs;
/** How long a serving certificate is valid unless told otherwise. */
export const servingLifetimeMs = 30 * dayMs;
/** Clocks of nodes differ. */
const backdateMs = 3_600_000;
/** Before an authority ends, its successor is made, so that agents trust both for a year. */
const authorityOverlapMs = 365 * dayMs;
const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export async function makeAuthority(nowMs: number, previous?: KeyPair): Promise<KeyPair> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=crashcart-ca ${new Date(nowMs).toISOString().slice(0, 10)}`,
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + authorityMs),
    keys,
    signingAlgorithm: p256,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const kept = previous ? certificates(previous.cert).filter((each) => Date.parse(each.validTo) > nowMs) : [];
  const cert = [pem(certificate), ...kept.slice(0, 1).map((each) => each.toString())].join('');
  return { key: await keyPem(keys.privateKey), cert };
}

/** `lifetimeMs` counts from now; the certificate is valid from an hour earlier, for clocks that are behind. */
export async function makeServing(
  authority: KeyPair,
  names: readonly string[],
  nowMs: number,
  lifetimeMs = servingLifetimeMs,
): Promise<KeyPair> {
  const keys = await generateKeys();
  const issuer = new x509.X509Certificate(certificates(authority.cert)[0]?.toString() ?? '');
  const signingKey = await importKey(authority.key);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${names[0] ?? ''}`,
    issuer: issuer.subject,
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + lifetimeMs),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: p256,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value }))),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { key: await keyPem(keys.privateKey), cert: pem(certificate) };
}

/** Whether a new authority is due: this one is unreadable, its key is another's, or it ends within a year. */
export function authorityIsDue(authority: KeyPair, nowMs: number): boolean {
  const [first] = certificates(authority.cert);
  return !first?.ca || !keyFits(authority) || Date.parse(first.validTo) - authorityOverlapMs <= nowMs;
}

/** Whether a new serving certificate is due: unreadable, of another authority or for other names, or a third of its life is left. */
export function servingIsDue(serving: KeyPair, authority: KeyPair, names: readonly string[], nowMs: number): boolean {
  const [leaf] = certificates(serving.cert);
  const [issuer] = certificates(authority.cert);
  if (!leaf || !issuer || !keyFits(serving) || !leaf.verify(issuer.publicKey)) return true;
  if (!names.every((name) => leaf.checkHost(name) !== undefined)) return true;
  const from = Date.parse(leaf.validFrom) + backdateMs;
  const to = Date.parse(leaf.validTo);
  return to - nowMs <= (to - from) / 3;
}

/** When it ends, in ms since the epoch; undefined when the pair is unusable. */
export function expiresAtMs(pair: KeyPair): number | undefined {
  const [leaf] = certificates(pair.cert);
  return leaf && keyFits(pair) ? Date.parse(leaf.validTo) : undefined;
}

function certificates(text: string): NodeCertificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.slice(0, 8).map((block) => new NodeCertificate(block));
  } catch {
    return [];
  }
}

function keyFits({ key, cert }: KeyPair): boolean {
  try {
    return new NodeCertificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

const generateKeys = (): Promise<webcrypto.CryptoKeyPair> => crypto.subtle.generateKey(p256, true, ['sign', 'verify']);

/** 20 octets at most, positive. */
const serialNumber = (): string => `01${randomBytes(15).toString('hex')}`;

const pem = (certificate: x509.X509Certificate): string => `${certificate.toString('pem').trim()}\n`;

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n');
}

async function importKey(key: string): Promise<webcrypto.CryptoKey> {
  const der = Buffer.from(key.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  return await crypto.subtle.importKey('pkcs8', der, p256, false, ['sign']);
}
