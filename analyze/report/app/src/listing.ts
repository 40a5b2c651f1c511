// Which samples are listed, and in what order.
import { column, page, samples } from "./data";
import { measureOf } from "./measures";
import type { Sort, State } from "./state";
import { knownValues, valuesInB } from "./values";
import { shortName, words } from "./words";

const ANSWERED: Record<State["answer"], (row: number) => boolean> = {
  any: () => true,
  right: (row) => samples.right[row] === 1,
  wrong: (row) => samples.right[row] === 0,
  "a-only": (row) => samples.right[row] === 1 && page.second?.right[row] === 0,
  "b-only": (row) => samples.right[row] === 0 && page.second?.right[row] === 1,
};

export function listed(state: State): number[] {
  const text = state.search.trim().toLowerCase();
  const fits = (row: number) =>
    (state.sampleCategory < 0 || samples.category[row] === state.sampleCategory) &&
    (state.pair < -1 || samples.state[row] === state.pair) &&
    ANSWERED[state.answer](row) &&
    (!text || [samples.question[row], samples.id[row]].some((each) => each?.toLowerCase().includes(text)));
  const rows = [...samples.id.keys()].filter(fits);
  const key = keyOf(state);
  const sign = state.falling ? -1 : 1;
  return rows.sort((one, other) => compared(key(one), key(other), sign) || one - other);
}

type Key = string | number | null | undefined;

function keyOf({ sort, measure, cell }: State): (row: number) => Key {
  const values = sort === "value" ? knownValues(measure, cell) : null;
  const inB = sort === "value-b" ? valuesInB(measure, cell) : null;
  const keys: Partial<Record<Sort, (row: number) => Key>> = {
    first: (row) => Number(samples.picture[row] === null), // so that the few images of the page are found
    question: (row) => samples.question[row],
    category: (row) => samples.category[row],
    value: (row) => values!(row),
    "value-b": (row) => inB?.(row),
    "lead-b": (row) => column("lead", "b")[row],
  };
  return keys[sort] ?? ((row) => column(sort)[row]);
}

// What is missing comes last in either direction
function compared(one: Key, other: Key, sign: number): number {
  const [lacks, otherLacks] = [one ?? NaN, other ?? NaN].map(Number.isNaN);
  if (lacks || otherLacks) return Number(lacks) - Number(otherLacks);
  if (typeof one === "string") return sign * one.localeCompare(other as string, undefined, { numeric: true });
  return sign * ((one as number) - (other as number));
}

// Whether this page can sort by something
export function canSort(name: Sort, { measure, cell }: State): boolean {
  if (name === "lead-b") return page.second !== null;
  if (name === "value-b") return valuesInB(measure, cell) !== null;
  return !["margin", "lead", "p_yes", "p_options"].includes(name) || column(name).some((value) => value !== null);
}

export function nameOfAnswer(answer: State["answer"]): string {
  return { any: words.any, right: words.right, wrong: words.wrong, "a-only": words.a_only, "b-only": words.b_only }[answer];
}

export function nameOfSort(name: Sort, state: State): string {
  const value = `${measureOf(state.measure).name.toUpperCase()} ${shortName(state.cell)}`;
  const names: Partial<Record<Sort, string>> = {
    first: words.sort_first,
    lead: words.lead_of_answer,
    value,
    "value-b": `B${words.colon}${value}`,
    "lead-b": `B${words.colon}${words.lead_of_answer}`,
  };
  return names[name] ?? words[name];
}
