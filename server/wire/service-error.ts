// The error a service answers with: what goes on the wire, and who is to blame.

export interface ServiceErrorFacts {
  readonly type: string;
  readonly status: number;
  readonly fault: 'client' | 'server';
  readonly retryable: boolean;
  /** Left out of the reply when absent. */
  readonly message?: string;
}

export class ServiceError extends Error {
  readonly type: string;
  readonly status: number;
  readonly fault: 'client' | 'server';
  readonly retryable: boolean;

  constructor(facts: ServiceErrorFacts) {
    super(facts.message ?? '');
    this.name = 'ServiceError';
    this.type = facts.type;
    this.status = facts.status;
    this.fault = facts.fault;
    this.retryable = facts.retryable;
  }
}

/** Every client error is 400. */
export function clientError(type: string, message?: string): ServiceError {
  return new ServiceError({
    type,
    status: 400,
    fault: 'client',
    retryable: false,
    ...(message === undefined ? {} : { message }),
  });
}

export function serializationError(message?: string): ServiceError {
  return clientError('SerializationException', message);
}

export function internalFailure(): ServiceError {
  return new ServiceError({ type: 'InternalFailure', status: 500, fault: 'server', retryable: true });
}

/** SerializationException spells its key with a capital; a reply without a text has no key at all. */
export function errorDocument(error: ServiceError): object {
  if (error.message === '') return { __type: error.type };
  const key = error.type === 'SerializationException' ? 'Message' : 'message';
  return { __type: error.type, [key]: error.message };
}
