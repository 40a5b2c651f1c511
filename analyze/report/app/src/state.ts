// What is chosen on the page, in one object, which is in the page's address too: a choice can be linked to and taken
// back. Components read the object and call `go`; none keeps a choice of its own.
import { type Texts, array, categories, cells, layers, page, samples } from "./data";
import { measureOf, order, ranked } from "./measures";
import { lengthOf } from "./texts";
import { sameShape } from "./values";
import { shortName } from "./words";

export interface State {
  at: string; // the section that is on the screen, "" for the first one
  measure: string; // its key
  category: number; // of heads; 0: all, else its place + 1
  cell: number; // the head, layer x heads + head; and that of B, where it has other heads
  cellB: number;
  shade: "value" | "rank"; // colours of the map of heads,
  scale: "shared" | "own"; // and where they end: as for all categories of the measure, or for the one that is shown
  across: string; // the scatter of heads: what stands across and up, "" as the page chooses,
  up: string;
  spread: boolean; // whether with intervals,
  selected: string; // and the heads that were dragged over, with commas
  compared: string; // the column of the charts of two runs, "" without a second run
  panel: number; // distributions: the group of columns,
  of: number; // and what they are of: 0 the run, then each layer, then each category
  sampleCategory: number; // samples: -1 any, else its place
  pair: number; // -2 any, -1 none, else its place in `states`
  answer: Answer; // what was answered
  search: string;
  sort: Sort; // of samples
  falling: boolean; // the highest first
  view: "cards" | "table";
  page: number;
  sample: number; // the row of the sample that is open, or -1
  step: number; // of its text, whose token is chosen, or -1; and of the text of B
  stepB: number;
  tokens: "head" | "mean"; // whose mass tokens show: of the chosen head, or the mean over heads,
  tokenScale: "all" | "own"; // and where their scale ends: at the highest of all heads, or of what is shown
  overlay: boolean; // whether images show maps
  theme: "" | "light" | "dark"; // "": the reader's system decides
}

export const ANSWERS = ["any", "right", "wrong", "a-only", "b-only"] as const; // the last two: by one of two runs
export type Answer = (typeof ANSWERS)[number];

// By what samples are sorted: those with an image first, a text, a number of theirs, or the chosen head's value
export const SORTS = ["first", "question", "category", "margin", "lead", "p_yes", "p_options", "value", "lead-b", "value-b"] as const;
export type Sort = (typeof SORTS)[number];

// How a choice stands in the address; `read` gives undefined for what is not there
interface Field<T> {
  name: string;
  first: T;
  write: (value: T) => string;
  read: (text: string) => T | undefined;
}
type Fields = { [Name in keyof State]: Field<State[Name]> };

// One of some texts by its place, counted from `from`
function oneOf(name: string, texts: string[], from: number, first: number): Field<number> {
  const read = (text: string) => (texts.includes(text) ? texts.indexOf(text) + from : undefined);
  return { name, first, write: (value) => texts[value - from], read };
}

function word<T extends string>(name: string, values: readonly T[], first: T): Field<T> {
  return { name, first, write: (value) => value, read: (text) => values.find((each) => each === text) };
}

function yesOrNo(name: string, first: boolean): Field<boolean> {
  const read = (text: string) => ({ yes: true, no: false })[text];
  return { name, first, write: (value) => (value ? "yes" : "no"), read };
}

// The names of B's heads, and the highest of them by the measure that is shown first
const cellsOfB = () => Array.from({ length: numberInB() }, (_, cell) => shortName(cell, "b"));
const numberInB = () => (page.second ? page.second.layers.length * page.second.heads : 0);

function highestOfB(): number {
  if (!page.beside?.measures.includes(page.measure)) return 0;
  return ranked(array(`b/${page.measure}/means`).subarray(0, numberInB()))[0] ?? 0;
}

// A step of a text, where there are any
function step(name: string, texts: Texts | null): Field<number> {
  const read = (text: string) => (/^\d+$/.test(text) && texts ? Number(text) : undefined);
  return { name, first: -1, write: (step) => (step < 0 ? "" : String(step)), read };
}

// What may stand at an axis of the scatter of heads
function quantity(name: string): Field<string> {
  const there = [...page.measures.map((each) => each.key), "reliability", ...(page.localised ? ["localisation"] : [])];
  return { name, first: "", write: (key) => key, read: (key) => there.find((each) => each === key) };
}

function fieldsOf(): Fields {
  const all = Array.from({ length: cells }, (_, cell) => shortName(cell));
  const panels: string[] = [];
  for (const flow of page.flows) panels[flow.panel] ??= flow.name;
  const columns = page.columns.map(([name]) => name);
  const own = columns.find((name) => name === measureOf(page.measure).name);
  const groups = ["run", ...layers.map((layer) => `layer/${layer}`), ...categories.map((name) => `category/${name}`)];
  return {
    at: word("at", ["", ...sections()], ""),
    measure: {
      name: "measure",
      first: page.measure,
      write: (key) => key,
      read: (key) => page.measures.find((each) => each.key === key)?.key,
    },
    category: oneOf("category", ["", ...categories], 0, 0),
    cell: oneOf("head", all, 0, order(page.measure, 0)[0] ?? 0),
    cellB: oneOf("head-b", sameShape() ? [] : cellsOfB(), 0, highestOfB()),
    shade: word("colours", ["value", "rank"], "value"),
    scale: word("scale", ["shared", "own"], "shared"),
    across: quantity("across"),
    up: quantity("up"),
    spread: yesOrNo("spread", false),
    selected: {
      name: "selected",
      first: "",
      write: (names) => names,
      read: (names) => (names.split(",").every((name) => all.includes(name)) ? names : undefined),
    },
    compared: word("compared", columns, own ?? columns.at(-1) ?? ""),
    panel: oneOf("columns", panels, 0, 0),
    of: oneOf("rows", groups, 0, 0),
    sampleCategory: oneOf("samples-of", ["", ...categories], -1, -1),
    pair: oneOf("state", ["", page.stateless, ...page.states], -2, -2),
    answer: word("answer", ANSWERS, "any"),
    sort: word("sort", SORTS, "first"),
    falling: yesOrNo("falling", false),
    view: word("view", ["cards", "table"], page.images ? "cards" : "table"),
    search: { name: "search", first: "", write: (text) => text, read: (text) => text },
    page: {
      name: "page",
      first: 0,
      write: (number) => String(number + 1),
      read: (text) => (/^[1-9]\d*$/.test(text) ? Number(text) - 1 : undefined),
    },
    sample: oneOf("sample", ["", ...samples.id], -1, -1),
    step: step("step", page.texts),
    stepB: step("step-b", page.second?.texts ?? null),
    tokens: word("tokens", ["head", "mean"], "head"),
    tokenScale: word("token-scale", ["all", "own"], "all"),
    overlay: yesOrNo("maps", true),
    theme: word("theme", ["", "light", "dark"], ""),
  };
}

let fields: Fields;
let current: State;
let listener: () => void;
let unknown: string[] = [];
let lastMove = "";
const OWN = {}; // the state of entries in the history that the page itself made

// Begins with what the address says; `draw` is called at each change
export function begin(draw: () => void): void {
  listener = draw;
  fields = fieldsOf();
  recall();
  addEventListener("popstate", () => {
    recall();
    draw();
  });
}

// The names of the page's sections; the element of each has the id `NAME-section`
export function sections(): string[] {
  return [...document.querySelectorAll("section[id$=-section]")].map((each) => each.id.replace(/-section$/, ""));
}

export const state = () => current;

// What the address names and the page does not have
export const notThere = () => unknown;

// Changes some choices. A step among many, such as a letter typed, has the name of its kind as `move`: of several in
// a row, the page keeps only the last in its history
export function go(change: Partial<State>, move = ""): void {
  const steps = "sample" in change && change.sample !== current.sample ? { step: -1, stepB: -1 } : {};
  current = { ...current, ...steps, ...change };
  unknown = [];
  const same = move !== "" && move === lastMove;
  lastMove = move;
  try {
    history[same ? "replaceState" : "pushState"](OWN, "", addressOf(current));
  } catch {
    // A frame without an address of its own
  }
  listener();
}

// Notes the section that is scrolled to; it is no step in the history
export function pass(at: string): void {
  if (at === current.at) return;
  current = { ...current, at };
  try {
    history.replaceState(OWN, "", addressOf(current));
  } catch {
    // As above
  }
  listener();
}

// Makes the choices that a link within the page names, and keeps the others
export function follow(hash: string): Partial<State> {
  const { found } = choicesIn(hash);
  go(found);
  return found;
}

const names = () => Object.keys(fields) as (keyof State)[];

function addressOf(state: State): string {
  const parts = names().flatMap(<Name extends keyof State>(key: Name) => {
    const { name, first, write } = fields[key];
    const text = write(state[key]);
    return text === write(first) ? [] : [`${name}=${encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%20", "+")}`];
  });
  return `#${parts.join("&")}`;
}

// What an address names: choices, and texts that the page does not know. A section by the id of its element counts too
function choicesIn(hash: string): { found: Partial<State>; missed: string[] } {
  const at = /^#(\w+)-section$/.exec(hash)?.[1];
  const said = new URLSearchParams(at ? { at } : hash.includes("=") ? hash.slice(1) : "");
  const found: Partial<State> = {};
  const missed: string[] = [];
  const take = <Name extends keyof State>(key: Name) => {
    const { name, read } = fields[key];
    const text = said.get(name);
    said.delete(name);
    if (text === null) return;
    const value = read(text);
    if (value === undefined) missed.push(`${name}=${text}`);
    else found[key] = value;
  };
  names().forEach(take);
  // A step is one of the open sample's text
  for (const [key, run] of [["step", "a"], ["stepB", "b"]] as const) {
    if (found[key] === undefined || found[key] < lengthOf(found.sample ?? -1, run)) continue;
    missed.push(`${fields[key].name}=${found[key]}`);
    delete found[key];
  }
  return { found, missed: [...missed, ...[...said].map(([name, text]) => `${name}=${text}`)] };
}

// Chooses what the address says, and what stands first where it says nothing
function recall(): void {
  lastMove = "";
  const { found, missed } = choicesIn(location.hash);
  const first = Object.fromEntries(names().map((key) => [key, fields[key].first])) as unknown as State;
  const within = current && location.hash && !location.hash.includes("="); // a link to a part of the page
  unknown = missed;
  current = { ...(within ? current : first), ...found };
}
