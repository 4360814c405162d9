// The profiles every gateway has: `raw` and `json`.
import type { Digest } from '../stream/ports.ts';
import { jsonProfile } from './json-profile.ts';
import { partitionKeyOf } from './profile.ts';
import type { Profile } from './profile.ts';

/** Profiles that are always there, by name. */
export function builtInProfiles(digest: Digest): ReadonlyMap<string, Profile> {
  return new Map([rawProfile(digest), jsonProfile(digest)].map((profile) => [profile.name, profile]));
}

/** The payload's bytes unchanged, under the name of its source. */
function rawProfile(digest: Digest): Profile {
  return {
    name: 'raw',
    decode: (payload, { source }) => ({
      kind: 'records',
      records: [{ partitionKey: partitionKeyOf(source, digest), data: payload }],
    }),
  };
}
