// What a service model says of its messages: operations, shapes and their bounds.

export type Shape =
  | {
      readonly type: 'structure';
      readonly members: Readonly<Record<string, string>>;
      readonly required?: readonly string[];
      readonly min?: number;
      readonly max?: number;
    }
  | { readonly type: 'list'; readonly member: string; readonly min?: number; readonly max?: number }
  | {
      readonly type: 'map';
      readonly key: string;
      readonly value: string;
      readonly min?: number;
      readonly max?: number;
    }
  | {
      readonly type: 'string';
      readonly min?: number;
      readonly max?: number;
      readonly pattern?: string;
      readonly enum?: readonly string[];
    }
  | {
      readonly type: 'integer' | 'long' | 'blob' | 'boolean' | 'timestamp';
      readonly min?: number;
      readonly max?: number;
    };

export interface OperationModel {
  /** Name of the input's shape; absent: the operation takes no members. */
  readonly input?: string;
  readonly output?: string;
  readonly errors: readonly string[];
}

export interface ServiceModel {
  /** What stands before the dot in X-Amz-Target. */
  readonly targetPrefix: string;
  readonly signingName: string;
  readonly operations: Readonly<Record<string, OperationModel>>;
  readonly shapes: Readonly<Record<string, Shape>>;
}

/** Blobs are Uint8Array, timestamps milliseconds, absent members absent. */
export type ValidatedInput = Readonly<Record<string, unknown>>;

export type Shapes = ServiceModel['shapes'];
export type StructureShape = Extract<Shape, { type: 'structure' }>;
export type ListShape = Extract<Shape, { type: 'list' }>;
export type MapShape = Extract<Shape, { type: 'map' }>;
export type ScalarShape = Exclude<Shape, { type: 'structure' | 'list' | 'map' }>;

export interface Member {
  readonly name: string;
  /** As errors spell it: with a small first letter. */
  readonly pathName: string;
  readonly shape: Shape;
  readonly isRequired: boolean;
}

const membersKnown = new WeakMap<StructureShape, readonly Member[]>();

/** The members of a structure with their shapes, looked up once. */
export function membersOf(shapes: Shapes, structure: StructureShape): readonly Member[] {
  const known = membersKnown.get(structure);
  if (known !== undefined) return known;
  const members = Object.entries(structure.members).map(([name, shapeName]) => ({
    name,
    pathName: `${name.charAt(0).toLowerCase()}${name.slice(1)}`,
    shape: shapeNamed(shapes, shapeName),
    isRequired: structure.required?.includes(name) === true,
  }));
  membersKnown.set(structure, members);
  return members;
}

/** The models are ours: a name they lack is a mistake of ours. */
export function shapeNamed(shapes: Shapes, name: string): Shape {
  const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined;
  if (shape === undefined) throw new Error(`the model has no shape ${name}`);
  return shape;
}
