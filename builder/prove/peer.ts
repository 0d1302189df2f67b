/*
 * What the proof's tools talk to, started in the room's network: a name server that knows host.test, and a TLS server.
 * usage: node peer.ts CERTIFICATE KEY
 */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const [certificate = '', key = ''] = process.argv.slice(2);

/** Answers A queries for host.test with 127.0.0.1, everything else with no data. */
const names = createSocket('udp4');
names.on('message', (query, { port, address }) => {
  const end = query.indexOf(0, 12) + 1;
  const type = query.readUInt16BE(end);
  const isKnown = query.subarray(12, end).toString('latin1').toLowerCase() === '\u0004host\u0004test\0' && type === 1;
  const head = Buffer.from(query.subarray(0, 12));
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(isKnown ? 1 : 0, 6);
  head.writeUInt32BE(0, 8);
  const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
  names.send(Buffer.concat([head, query.subarray(12, end + 4), ...(isKnown ? [answer] : [])]), port, address);
});
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (_request, response) =>
  response.end('hello over TLS\n'),
);
names.bind(53, '127.0.0.1', () => server.listen(8443, '127.0.0.1', () => process.stdout.write('ready\n')));
