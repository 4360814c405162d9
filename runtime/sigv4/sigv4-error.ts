// Why a signature is refused: the names that AWS answers with.

export type SigV4ErrorType =
  | 'ExpiredTokenException'
  | 'MissingAuthenticationTokenException'
  | 'InvalidSignatureException'
  | 'IncompleteSignatureException'
  | 'UnrecognizedClientException';

export class SigV4Error extends Error {
  readonly type: SigV4ErrorType;

  constructor(type: SigV4ErrorType, message: string) {
    super(message);
    this.name = 'SigV4Error';
    this.type = type;
  }
}
