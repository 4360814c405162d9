// What of a gateway's map is kept a second time. Without the keys sealed records could not be opened; without its identity
// it would have to be enrolled again; without its incarnation a lane would be sent whole again.
import { KEYS_PREFIX } from '../storage/seal/key-table.ts';
import { IDENTITY_KEY } from './identity-store.ts';
import { LANE_PREFIXES } from './lane-row.ts';

export const KEPT_TWICE = [KEYS_PREFIX, ...LANE_PREFIXES, IDENTITY_KEY];
