// The Condition element: every operator and every key of it must hold (IAM User Guide, Conditions with multiple context
// keys or values).
import { NULL_OPERATOR, OPERATORS } from './condition-operators.ts';
import type { Test } from './condition-operators.ts';
import { membersOf, textsOf } from './document.ts';
import { PolicyError } from './policy-error.ts';
import type { ContextLookup } from './template.ts';

type Quantifier = 'ForAllValues' | 'ForAnyValue' | null;

export interface Condition {
  /** In lower case: names of keys have no case. */
  readonly key: string;
  readonly quantifier: Quantifier;
  readonly ifExists: boolean;
  readonly isNull: boolean;
  readonly isNegated: boolean;
  readonly tests: readonly Test[];
}

const OPERATOR_NAME = /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/;
const KEY = /^[a-zA-Z0-9-]+:[\w.:/=+@ -]{1,256}$/;

/** Throws PolicyError. */
export function parseConditions(element: unknown, path: string, variables: boolean): Condition[] {
  return Object.entries(membersOf(element, path)).flatMap(([name, keys]) => {
    const [, quantifier = null, operatorName = '', ifExists] = OPERATOR_NAME.exec(name) ?? [];
    const operator = OPERATORS.get(operatorName);
    const isNull = operatorName === NULL_OPERATOR;
    if (operator === undefined || (isNull && ifExists !== undefined))
      throw new PolicyError(path, `there is no condition operator ${name.slice(0, 100)}`);
    return Object.entries(membersOf(keys, `${path}.${name}`)).map(([key, values]) => {
      const place = `${path}.${name}.${key.slice(0, 100)}`;
      if (!KEY.test(key)) throw new PolicyError(place, 'a condition key is written like aws:SourceIp');
      return {
        key: key.toLowerCase(),
        quantifier: quantifier as Quantifier,
        ifExists: ifExists !== undefined,
        isNull,
        isNegated: operator.isNegated,
        tests: textsOf(values, place).map((value) => operator.read(value, place, variables)),
      };
    });
  });
}

export function holds(condition: Condition, lookup: ContextLookup): boolean {
  const { quantifier, isNegated, tests } = condition;
  const actual = lookup(condition.key) ?? [];
  if (condition.isNull) return tests.some((test) => test(String(actual.length === 0), lookup));
  if (actual.length === 0) return holdsWithoutValue(condition);
  const fits = (value: string): boolean => isNegated !== tests.some((test) => test(value, lookup));
  const all = quantifier === null ? isNegated : quantifier === 'ForAllValues';
  return all ? actual.every(fits) : actual.some(fits);
}

function holdsWithoutValue({ quantifier, ifExists, isNegated }: Condition): boolean {
  if (ifExists || quantifier === 'ForAllValues') return true;
  return quantifier === null && isNegated;
}
