import 'reflect-metadata'; // @peculiar/x509 needs it in place before it loads
import { generateKeyPairSync, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const day = 86_400_000;

/** PEM of a certificate and of its private key (PKCS#8). */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

export interface Authority extends KeyPair {
  readonly issue: (subject: Subject) => Promise<KeyPair>;
}

export interface Subject {
  readonly user: string;
  readonly group?: string;
  readonly names?: readonly string[];
  readonly addresses?: readonly string[];
}

async function pem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

const validity = (): { notBefore: Date; notAfter: Date } => ({
  notBefore: new Date(Date.now() - day), // clocks of virtual machines jump
  notAfter: new Date(Date.now() + 365 * day),
});

/** A certificate authority that lives as long as the cluster. */
export async function createAuthority(name: string): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: [{ CN: [name] }],
      keys,
      signingAlgorithm: algorithm,
      ...validity(),
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    },
    webcrypto,
  );
  return {
    certificate: certificate.toString('pem'),
    key: await pem(keys.privateKey),
    issue: (subject) => issue(certificate, keys.privateKey, subject),
  };
}

async function issue(
  issuer: x509.X509Certificate,
  signingKey: webcrypto.CryptoKey,
  subject: Subject,
): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const alternatives: x509.JsonGeneralNames = [
    ...(subject.names ?? []).map((value) => ({ type: 'dns', value }) as const),
    ...(subject.addresses ?? []).map((value) => ({ type: 'ip', value }) as const),
  ];
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: [...(subject.group ? [{ O: [subject.group] }] : []), { CN: [subject.user] }],
      issuer: issuer.subject,
      publicKey: keys.publicKey,
      signingKey,
      signingAlgorithm: algorithm,
      ...validity(),
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth]),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
        ...(alternatives.length > 0 ? [new x509.SubjectAlternativeNameExtension(alternatives)] : []),
      ],
    },
    webcrypto,
  );
  return { certificate: certificate.toString('pem'), key: await pem(keys.privateKey) };
}

/** Keys that sign service account tokens; PEM. */
export function serviceAccountKeys(): { readonly publicKey: string; readonly privateKey: string } {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}
