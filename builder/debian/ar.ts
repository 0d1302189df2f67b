export interface ArMember {
  name: string;
  content: Buffer;
}

const magic = '!<arch>\n';
const headerBytes = 60;
/** A .deb has three members; more than a handful is something else. */
const mostMembers = 16;

/** The members of a Unix `ar` archive, which is what a .deb is. Throws an Error that says what is wrong with it. */
export function arMembers(archive: Buffer): ArMember[] {
  if (archive.toString('latin1', 0, magic.length) !== magic) throw new Error('not an ar archive');
  const members: ArMember[] = [];
  for (let at = magic.length; at < archive.length; ) {
    const header = archive.toString('latin1', at, at + headerBytes);
    if (header.length < headerBytes || !header.endsWith('`\n')) throw new Error(`no member header at byte ${at}`);
    const sizeField = header.slice(48, 58).trim();
    const start = at + headerBytes;
    const end = start + Number(sizeField);
    if (!/^\d+$/.test(sizeField) || end > archive.length) throw new Error(`the member at byte ${at} is cut short`);
    // GNU ar ends names with a slash, dpkg does not.
    members.push({ name: header.slice(0, 16).trim().replace(/\/$/, ''), content: archive.subarray(start, end) });
    if (members.length > mostMembers) throw new Error(`more than ${mostMembers} members`);
    at = end + (end % 2);
  }
  return members;
}
