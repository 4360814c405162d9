// Every named maximum of the core, and the relations between them. Asserted by test/unit/limits.test.ts.

const KIB = 1024;
const MIB = 1024 * KIB;

/** Records of one block; index 0xFFFF is reserved for "after the whole block". */
export const BLOCK_RECORDS_MAX = 65_535;
/** Size at which a writer closes a block and starts the next one. */
export const BLOCK_BYTES_TARGET = 64 * KIB;
/** A block of several records. A block of one record may be as large as RECORD_BYTES_MAX allows. */
export const BLOCK_BYTES_MAX = MIB;
/** A smaller body is stored as is: what compression takes off it is less than the page it lies in. */
export const COMPRESSED_BODY_BYTES_MIN = 512;
/** Data and partition key of one record (Kinesis API, MaxRecordSizeInKiB 10240). */
export const RECORD_BYTES_MAX = 10 * MIB;
/** A stored block: the largest record, its key, the header and the framing around it. */
export const STORED_BLOCK_BYTES_MAX = RECORD_BYTES_MAX + 64 * KIB;
/** Characters (UTF-16 units) of a partition key (Kinesis API, PartitionKey). */
export const PARTITION_KEY_CHARACTERS_MAX = 256;
/** Opaque state a lane keeps beside its last ordinal. */
export const LANE_TAG_BYTES_MAX = 4 * KIB;
/** Runs the server remembers of a lane: the newest, by which it is compared with the gateway's. */
export const LANE_RUNS_MAX = 64;
/** Runs a gateway remembers of a lane: one for each start that wrote to it, far more than an outage has. */
export const GATEWAY_LANE_RUNS_MAX = 4_096;
/** What a writer keeps beside one block. */
export const NOTE_BYTES_MAX = 2 * MIB;
export const META_KEY_BYTES_MAX = 512;
export const META_VALUE_BYTES_MAX = 8 * MIB;
/** Changes a watcher may fall behind before it must start over. */
export const META_WATCH_HORIZON = 4096;
/** A smaller step back of the clock is clamped; a larger one opens a new time segment. */
export const CLOCK_STEP_CLAMP_MS = 5 * 60_000;
/** Records of one read (Kinesis API, GetRecords). */
export const READ_RECORDS_MAX = 10_000;
export const READ_BYTES_MAX = 10 * MIB;
/** Bytes that may wait for a commit in one record log before writers are refused. */
export const PENDING_BYTES_MAX = 64 * MIB;
