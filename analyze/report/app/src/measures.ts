// Quantities of heads: their means, and the order of heads by them.
import { type Kind, type Measure, type Numbers, array, cells, page } from "./data";
import { digits, filled, minus, words } from "./words";

const MOST_DOTS = 12;

export const ofKind = (kind: Kind) => page.measures.filter((each) => each.kind === kind);
export const measureOf = (key: string): Measure => page.measures.find((each) => each.key === key)!;

// The measure of a kind that is shown first
export const firstOfKind = (kind: Kind) => ofKind(kind).find((each) => each.name === "d2v") ?? ofKind(kind)[0];

// The mean of a head; NaN where there is none
export function mean(key: string, cell: number, category: number): number {
  return array(`${key}/means`)[category * cells + cell];
}

// The places of values from the highest to the lowest; of those that are NaN none
export function ranked(values: Numbers): number[] {
  const known = [...values.keys()].filter((place) => !Number.isNaN(values[place]));
  return known.sort((one, other) => values[other] - values[one]);
}

// The heads from the highest mean to the lowest; those without one are left out
export function order(key: string, category: number): number[] {
  return ranked(array(`${key}/means`).subarray(category * cells, (category + 1) * cells));
}

// A scale of colours: its ends, its ticks with what stands at them, and how many values lie beyond the ends, which have
// the last colour
export interface Scale {
  low: number;
  high: number;
  ticks: number[];
  labels: string[];
  beyond: number;
}

export function scaleOf([low, high]: Numbers, values: number[]): Scale {
  const slack = (high - low) * 1e-5; // of float32
  const above = values.filter((value) => value > high + slack).length;
  const below = values.filter((value) => value < low - slack).length;
  const label = (end: number) => minus(String(Number(end.toPrecision(5))));
  const ticks = [low, (low + high) / 2, high];
  const labels = [(below ? "≤ " : "") + label(low), label(ticks[1]), (above ? "≥ " : "") + label(high)];
  return { low, high, ticks, labels, beyond: above + below };
}

// Of signed values, whether the head differs significantly from 0 over all samples, or that cannot be told
export const clear = (measure: Measure, cell: number) => !measure.signed || array(`${measure.key}/told`)[cell] > 0;

// The 95% interval of a head; `corrected`: that which holds for all heads together
export function interval({ key }: Measure, cell: number, corrected = false): [low: number, high: number] {
  const [low, high] = corrected ? ["lowest", "highest"] : ["low", "high"];
  return [array(`${key}/${low}`)[cell], array(`${key}/${high}`)[cell]];
}

export function writtenInterval(measure: Measure, [low, high]: [number, number]): string {
  return Number.isNaN(low) ? words.no_interval : filled("range", { low: written(measure, low), high: written(measure, high) });
}

// The heads of a dot plot, the highest first: of signed values those that are surest to differ from 0, on either side
export function dotted(measure: Measure): number[] {
  const highest = order(measure.key, 0);
  if (!measure.signed) return highest.slice(0, MOST_DOTS);
  const sureness = array(`${measure.key}/sureness`);
  const surest = [...highest].sort((one, other) => sureness[other] - sureness[one]).slice(0, MOST_DOTS);
  return highest.filter((cell) => surest.includes(cell));
}

export function written(measure: Measure, value: number): string {
  return (measure.signed && value >= 0 ? "+" : "") + digits(value, 4);
}
