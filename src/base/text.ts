/**
 * Makes text from a cluster (a pod's name, an event, a message of a hostile container) safe for a terminal: C0, C1, DEL
 * and the characters that turn the writing direction become visible escapes (CVE-2021-25743 is what happens otherwise).
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** A header's value with the bytes of UTF-8, as Go's clients send it: Node would send latin1, which is another name or none at all. */
export const headerText = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
