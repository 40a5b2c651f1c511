// Quantities of heads: their means, and the order of heads by them.
import { type Kind, type Measure, array, cells, page } from "./data";
import { digits } from "./words";

export const ofKind = (kind: Kind) => page.measures.filter((each) => each.kind === kind);
export const measureOf = (key: string): Measure => page.measures.find((each) => each.key === key)!;

// The measure of a kind that is shown first
export const firstOfKind = (kind: Kind) => ofKind(kind).find((each) => each.name === "d2v") ?? ofKind(kind)[0];

// The mean of a head; NaN where there is none
export function mean(key: string, cell: number, category: number): number {
  return array(`${key}/means`)[category * cells + cell];
}

// The heads from the highest mean to the lowest; those without one are left out
export function order(key: string, category: number): number[] {
  const means = array(`${key}/means`).subarray(category * cells, (category + 1) * cells);
  const known = [...means.keys()].filter((cell) => !Number.isNaN(means[cell]));
  return known.sort((one, other) => means[other] - means[one]);
}

export function written(measure: Measure, value: number): string {
  return (measure.signed && value >= 0 ? "+" : "") + digits(value, 4);
}
