// Which samples are listed, and in what order.
import { categories, column, page, samples } from "./data";
import { measureOf } from "./measures";
import { piecesLoaded } from "./pieces";
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

let last = { of: "", rows: [] as number[] };

// The rows that the filters let through, in order. They are the same until what they depend on changes: a page of tens of
// thousands of samples is drawn many times between two sorts
export function listed(state: State): number[] {
  const { sampleCategory, pair, answer, search, sort, falling, measure, cell } = state;
  const head = sort === "value" || sort === "value-b" ? [measure, cell, piecesLoaded()] : [];
  const of = JSON.stringify([sampleCategory, pair, answer, search, sort, falling, ...head]);
  if (last.of !== of) last = { of, rows: sorted(filtered(state), state) };
  return last.rows;
}

function filtered(state: State): number[] {
  const text = state.search.trim().toLowerCase();
  const fits = (row: number) =>
    (state.sampleCategory < 0 || samples.category[row] === state.sampleCategory) &&
    (state.pair < -1 || samples.state[row] === state.pair) &&
    ANSWERED[state.answer](row) &&
    (!text || [samples.question[row], samples.id[row], samples.text?.[row]].some((each) => each?.toLowerCase().includes(text)));
  return [...samples.id.keys()].filter(fits);
}

function sorted(rows: number[], state: State): number[] {
  const key = keyOf(state);
  const keys = new Float64Array(samples.id.length);
  for (const row of rows) keys[row] = key(row) ?? NaN;
  const sign = state.falling ? -1 : 1;
  return rows.sort((one, other) => compared(keys[one], keys[other], sign) || one - other);
}

type Key = (row: number) => number | null | undefined;

function keyOf({ sort, measure, cell }: State): Key {
  const values = sort === "value" ? knownValues(measure, cell) : null;
  const inB = sort === "value-b" ? valuesInB(measure, cell) : null;
  const keys: Partial<Record<Sort, Key>> = {
    first: (row) => Number(samples.picture[row] === null), // so that the few images of the page are found
    question: (row) => placesOfQuestions()[row],
    category: (row) => placesOfCategories()[samples.category[row]],
    value: (row) => values!(row),
    "value-b": (row) => inB?.(row),
    "lead-b": (row) => column("lead", "b")[row],
  };
  return keys[sort] ?? ((row) => column(sort)[row]);
}

// Where each of some texts stands in their order, NaN for none; equal texts stand at one place
function placesOf(texts: (string | null)[]): number[] {
  const { compare } = new Intl.Collator(undefined, { numeric: true });
  const inOrder = [...new Set(texts)].filter((text) => text !== null).sort(compare);
  const places = new Map<string, number>();
  inOrder.forEach((text, place) => {
    const before = inOrder[place - 1];
    places.set(text, place > 0 && compare(before, text) === 0 ? places.get(before)! : place);
  });
  return texts.map((text) => (text === null ? NaN : places.get(text)!));
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
const placesOfQuestions = once(() => placesOf(samples.question));
const placesOfCategories = once(() => placesOf(categories));

// What is missing comes last in either direction
function compared(one: number, other: number, sign: number): number {
  const [lacks, otherLacks] = [Number.isNaN(one), Number.isNaN(other)];
  return lacks || otherLacks ? Number(lacks) - Number(otherLacks) : sign * (one - other);
}

// Whether this page can sort by something
export function canSort(name: Sort, { measure, cell }: State): boolean {
  if (name === "lead-b") return column("lead", "b").some((value) => value !== null);
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
