// A disk that forgets: what a power cut may leave of a folder at any moment of a recorded run. A write is certain when a
// sync of its file that began after it returned has ended, or when its descriptor was opened with O_DSYNC; a name when
// its folder was synced. Of everything else any part may be there.
import type { DiskEvent } from './recording.ts';
import { FOLDER } from './recording.ts';

/** What of the uncertain is there: in pieces of so many bytes, each with this likelihood; and of the changes of names. */
export interface Choice {
  readonly nameLikelihood: number;
  readonly pieceBytes: number;
  readonly likelihood: number;
  readonly random: () => number;
}

/** Breaks the rules on purpose, as a disk or a writer that cheats would. */
export interface Cheats {
  /** O_DSYNC means nothing. */
  readonly ignoresSyncedWrites?: boolean;
  /** fdatasync and fsync mean nothing, as when the kernel never got the call. */
  readonly ignoresSyncs?: boolean;
  /** What nobody syncs gets to the disk by itself, behind so many later writes to it. */
  readonly writesBackAfter?: number;
}

interface Write {
  readonly at: number;
  /** Null: the file was cut to `at` bytes, or made as long. */
  readonly bytes: Buffer | null;
  hasReturned: boolean;
  isCertain: boolean;
}

interface NameChange {
  readonly name: string;
  readonly file: DiskFile | null;
  isCertain: boolean;
}

/** One file, whatever its names are. */
class DiskFile {
  #certain: Buffer = Buffer.alloc(0);
  #writes: Write[] = [];

  add(write: Write): void {
    this.#writes.push(write);
  }

  returned(): Write[] {
    return this.#writes.filter(({ hasReturned }) => hasReturned);
  }

  writeBack(after: number): void {
    for (const write of this.#writes.slice(0, -after)) write.isCertain ||= write.hasReturned;
  }

  settle(): void {
    const pending = this.#writes.findIndex(({ isCertain }) => !isCertain);
    const settled = this.#writes.splice(0, pending === -1 ? this.#writes.length : pending);
    if (settled.length > 0)
      this.#certain = applied(
        this.#certain,
        settled.map((write) => [write, null]),
      );
  }

  image(choice: Choice): Buffer {
    return applied(
      this.#certain,
      this.#writes.map((write) => [write, write.isCertain ? null : choice]),
    );
  }
}

export class Disk {
  readonly #cheats: Cheats;
  readonly #descriptors = new Map<number, { readonly file: DiskFile | null; readonly isSynced: boolean }>();
  /** As the program sees them. */
  readonly #names = new Map<string, DiskFile>();
  readonly #certainNames = new Map<string, DiskFile>();
  #changes: NameChange[] = [];
  readonly #ends = new Map<number, (isSkipped: boolean) => void>();

  constructor(cheats: Cheats = {}) {
    this.#cheats = cheats;
  }

  play(event: DiskEvent): void {
    switch (event.kind) {
      case 'open':
        this.#descriptors.set(event.fd, { file: this.#opened(event.name), isSynced: event.isSynced });
        break;
      case 'write':
        this.#write(event.id, event.fd, { at: event.at, bytes: event.bytes });
        break;
      case 'truncate':
        this.#write(event.id, event.fd, { at: event.bytes, bytes: null });
        break;
      case 'sync':
        this.#sync(event.id, event.fd);
        break;
      case 'end':
        this.#ends.get(event.id)?.(event.isSkipped);
        this.#ends.delete(event.id);
        break;
      case 'link':
        this.#name(event.to, present(this.#names.get(event.from)));
        break;
      case 'unlink':
        this.#name(event.name, null);
        break;
      case 'say':
        break;
    }
  }

  /** The folder as it may be found when the power comes back: bytes by name. */
  image(choice: Choice): Map<string, Buffer> {
    const names = new Map(this.#certainNames);
    for (const change of this.#changes) {
      if (!change.isCertain && choice.random() >= choice.nameLikelihood) continue;
      if (change.file === null) names.delete(change.name);
      else names.set(change.name, change.file);
    }
    return new Map([...names].map(([name, file]) => [name, file.image(choice)]));
  }

  #opened(name: string): DiskFile | null {
    if (name === FOLDER) return null;
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    const made = new DiskFile();
    this.#name(name, made);
    return made;
  }

  #name(name: string, file: DiskFile | null): void {
    if (file === null) this.#names.delete(name);
    else this.#names.set(name, file);
    this.#changes.push({ name, file, isCertain: false });
  }

  #write(id: number, fd: number, change: Pick<Write, 'at' | 'bytes'>): void {
    const { file, isSynced } = present(this.#descriptors.get(fd));
    const write: Write = { ...change, hasReturned: false, isCertain: false };
    const target = present(file);
    target.add(write);
    this.#ends.set(id, () => {
      write.hasReturned = true;
      write.isCertain = isSynced && this.#cheats.ignoresSyncedWrites !== true;
      if (this.#cheats.writesBackAfter !== undefined) target.writeBack(this.#cheats.writesBackAfter);
      target.settle();
    });
  }

  #sync(id: number, fd: number): void {
    const { file } = present(this.#descriptors.get(fd));
    const covered = file === null ? [...this.#changes] : file.returned();
    this.#ends.set(id, (isSkipped) => {
      if (isSkipped || this.#cheats.ignoresSyncs === true) return;
      for (const one of covered) one.isCertain = true;
      if (file === null) this.#settleNames();
      else file.settle();
    });
  }

  #settleNames(): void {
    const pending = this.#changes.findIndex(({ isCertain }) => !isCertain);
    const settled = this.#changes.splice(0, pending === -1 ? this.#changes.length : pending);
    for (const { name, file } of settled) {
      if (file === null) this.#certainNames.delete(name);
      else this.#certainNames.set(name, file);
    }
  }
}

/** Without a choice a write is there whole. In the order of the calls, because later ones lie over earlier ones. */
function applied(before: Buffer, writes: readonly (readonly [Write, Choice | null])[]): Buffer {
  const ends = writes.map(([{ at, bytes }]) => at + (bytes?.length ?? 0));
  const image = Buffer.alloc(Math.max(before.length, ...ends));
  before.copy(image);
  let length = before.length;
  for (const [{ at, bytes }, choice] of writes) {
    if (bytes === null) {
      if (choice !== null && choice.random() >= choice.likelihood) continue;
      image.fill(0, Math.min(at, length), Math.max(at, length));
      length = at;
      continue;
    }
    for (const [start, end] of piecesOf(at, at + bytes.length, choice?.pieceBytes ?? Infinity)) {
      if (choice !== null && choice.random() >= choice.likelihood) continue;
      bytes.copy(image, start, start - at, end - at);
      length = Math.max(length, end);
    }
  }
  return image.subarray(0, length);
}

/** Cut where the disk cuts: at multiples from the file's start. */
function piecesOf(start: number, end: number, pieceBytes: number): [number, number][] {
  if (pieceBytes === Infinity) return [[start, end]];
  const pieces: [number, number][] = [];
  for (let from = start; from < end;) {
    const to = Math.min(end, (Math.floor(from / pieceBytes) + 1) * pieceBytes);
    pieces.push([from, to]);
    from = to;
  }
  return pieces;
}

function present<T>(value: T | null | undefined): T {
  if (value === undefined || value === null) throw new Error('the trace uses what it never opened');
  return value;
}
