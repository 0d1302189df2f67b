import type { WebSocket } from 'ws';
import { channels, decodeMessage, encodeMessage, parseResize, type Size } from '../../src/wire/channel.ts';
import { encodeStatus, statusOfExit } from '../../src/wire/status.ts';

/** The far end of an attached session, played by a test. */
export class ScriptedShell {
  readonly sizes: Size[] = [];
  readonly input: Buffer[] = [];
  inputEnded = false;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('message', (data) => this.#take(data as Buffer));
  }

  out(text: string | Buffer): void {
    this.#socket.send(encodeMessage(channels.stdout, Buffer.from(text)));
  }

  err(text: string): void {
    this.#socket.send(encodeMessage(channels.stderr, Buffer.from(text)));
  }

  exit(code: number, reason: 'Completed' | 'MaxDurationExceeded' = 'Completed'): void {
    this.#socket.send(encodeMessage(channels.status, encodeStatus(statusOfExit({ code, reason }))));
    this.#socket.close(1000);
  }

  /** As a load balancer or a killed API server does it. */
  cut(): void {
    this.#socket.terminate();
  }

  /** Called with everything that was typed so far, after each message. */
  onInput: (all: string) => void = () => undefined;
  onEnd: () => void = () => undefined;

  #take(data: Buffer): void {
    const { channel, payload } = decodeMessage(data);
    const size = channel === channels.resize ? parseResize(payload) : undefined;
    if (size) this.sizes.push(size);
    if (channel === channels.stdin) {
      this.input.push(payload);
      this.onInput(Buffer.concat(this.input).toString('latin1'));
    }
    if (channel === channels.close && payload[0] === channels.stdin) {
      this.inputEnded = true;
      this.onEnd();
    }
  }
}
