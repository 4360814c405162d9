// A small AWS KMS for tests, from the public API reference: checks the signature of every request, and really encrypts.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { headersFromRaw } from '../runtime/sigv4/signable-request.ts';
import { SigV4Error } from '../runtime/sigv4/sigv4-error.ts';
import { verifyRequest } from '../runtime/sigv4/verify.ts';

export const KMS_CREDENTIALS = { accessKeyId: 'KMSKEY', secretAccessKey: 'kms-secret-of-no-worth' };

interface Input {
  readonly KeyId?: string;
  readonly KeySpec?: string;
  readonly Plaintext?: string;
  readonly CiphertextBlob?: string;
  readonly EncryptionContext?: Record<string, string>;
}

/** What the next requests meet instead of an answer. */
type Trouble = 'ThrottlingException' | 'KMSInternalException' | 'AccessDeniedException' | 'cut' | 'nonsense';

class KmsError extends Error {
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

export class LocalKms {
  readonly #server: Server;
  readonly #keys = new Map<string, Buffer>();
  readonly calls: string[] = [];
  readonly troubles: Trouble[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(...keyIds: string[]): Promise<LocalKms> {
    const server = createServer();
    const kms = new LocalKms(server);
    for (const id of keyIds) kms.#keys.set(id, randomBytes(32));
    server.on('request', (request, response) => {
      void bodyOf(request).then((body) => {
        const trouble = kms.troubles.shift();
        if (trouble === 'cut') return request.socket.destroy();
        const { status, answer } = kms.#answer(request, body, trouble);
        response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
        return response.end(trouble === 'nonsense' ? '<html>' : JSON.stringify(answer));
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return kms;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  #answer(request: IncomingMessage, body: Buffer, trouble?: Trouble): { status: number; answer: object } {
    try {
      verifyRequest(
        { method: request.method ?? '', url: request.url ?? '', headers: headersFromRaw(request.rawHeaders) },
        body,
        {
          service: 'kms',
          now: () => Date.now(),
          findSecret: (id) =>
            id === KMS_CREDENTIALS.accessKeyId ? KMS_CREDENTIALS.secretAccessKey : undefined,
        },
      );
      if (trouble !== undefined && trouble !== 'nonsense') throw new KmsError(trouble, 'as the test wants');
      const target = String(request.headers['x-amz-target']);
      this.calls.push(target);
      return { status: 200, answer: this.#do(target, JSON.parse(body.toString()) as Input) };
    } catch (error) {
      if (!(error instanceof KmsError || error instanceof SigV4Error)) throw error;
      const status = error.type === 'KMSInternalException' ? 500 : 400;
      return { status, answer: { __type: error.type, message: error.message } };
    }
  }

  #do(target: string, input: Input): object {
    const key = this.#keys.get(input.KeyId ?? '');
    if (key === undefined) throw new KmsError('NotFoundException', `Key '${input.KeyId}' does not exist`);
    const context = JSON.stringify(input.EncryptionContext ?? {});
    switch (target) {
      case 'TrentService.GenerateDataKey': {
        if (input.KeySpec !== 'AES_256') throw new KmsError('ValidationException', 'KeySpec');
        const plain = randomBytes(32);
        return {
          KeyId: input.KeyId,
          Plaintext: plain.toString('base64'),
          CiphertextBlob: encrypted(key, plain, context),
        };
      }
      case 'TrentService.Encrypt':
        return {
          KeyId: input.KeyId,
          CiphertextBlob: encrypted(key, Buffer.from(input.Plaintext ?? '', 'base64'), context),
        };
      case 'TrentService.Decrypt':
        return { KeyId: input.KeyId, Plaintext: decrypted(key, input.CiphertextBlob ?? '', context) };
      default:
        throw new KmsError('UnknownOperationException', target);
    }
  }
}

function encrypted(key: Buffer, plain: Buffer, context: string): string {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString('base64');
}

function decrypted(key: Buffer, blob: string, context: string): string {
  const bytes = Buffer.from(blob, 'base64');
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12));
    decipher.setAAD(Buffer.from(context));
    decipher.setAuthTag(bytes.subarray(-16));
    return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString('base64');
  } catch {
    // As KMS answers: nothing of why.
    throw new KmsError('InvalidCiphertextException', '');
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
