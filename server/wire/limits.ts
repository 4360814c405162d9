// What one client may take of the wire: time, connections and memory. The same on every port.

export interface WireLimits {
  /** Open connections of a port; those beyond are closed at once. */
  readonly connections: number;
  /** Until the first bytes of a connection, or the end of its TLS handshake. */
  readonly helloMs: number;
  /** Until the end of a request's headers, HTTP/1.1. */
  readonly headersMs: number;
  /** Until the end of a request, HTTP/1.1. */
  readonly requestMs: number;
  /** How often those two are looked at. */
  readonly deadlineSweepMs: number;
  /** How long a connection may lie idle between requests. */
  readonly keepAliveMs: number;
  /** Requests of one HTTP/2 connection at the same time. Floods of resets are ended by nghttp2 itself. */
  readonly http2Streams: number;
  readonly http2InvalidFrames: number;
  readonly http2WindowBytes: number;
}

export const WIRE_LIMITS: WireLimits = {
  connections: 16_384,
  helloMs: 10_000,
  headersMs: 20_000,
  requestMs: 300_000,
  deadlineSweepMs: 5_000,
  // SDK pools reuse sockets for a minute and race with a shorter timeout.
  keepAliveMs: 75_000,
  http2Streams: 256,
  http2InvalidFrames: 100,
  http2WindowBytes: 1024 * 1024,
};

export interface BodyLimits {
  readonly bytes: number;
  /** Bytes of all bodies together that are on their way. */
  readonly allBytes: number;
  /** How long none of a body may come. */
  readonly idleMs: number;
  /** Until its end. */
  readonly wholeMs: number;
}

export const BODY_LIMITS: BodyLimits = {
  // 10 MiB of data are 13.4 MiB of base64, plus keys.
  bytes: 16 * 1024 * 1024,
  allBytes: 256 * 1024 * 1024,
  idleMs: 20_000,
  // At 56 KB/s the largest one takes this long.
  wholeMs: 300_000,
};
