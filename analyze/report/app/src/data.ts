// What Python writes into the page (analyze/report/page.py), with its types, and the arrays in it by name.

export type Kind = "looking" | "contributing" | "mattering";
type Maybe<T> = T | null;

// How sure a measure is, in words; `pale`: the order of heads may be noise. Empty where nothing is to be said
export interface Sureness {
  pale: boolean;
  order: string;
  told: string;
  lead: string[];
}

// A quantity of heads; `signed`: it may be below 0. Its arrays are named `KEY/...`
export interface Measure {
  name: string;
  key: string;
  kind: Kind;
  label: string;
  meaning: string; // what its values are
  queries: string; // whose attention it is about, as columns begin; empty: that of all tokens
  signed: boolean;
  sure: Sureness;
  reliability: Maybe<number>;
  edges: number[]; // of the histograms' bins,
  positions: number[]; // where these stand on the axis,
  ticks: [position: number, text: string][]; // and what else does
  kept: number;
}

// Samples by column. `picture`: a place in the images of their piece; `images`: how many the question has
export interface Samples {
  id: string[];
  category: number[];
  state: number[];
  right: Maybe<0 | 1>[];
  question: Maybe<string>[];
  answer: Maybe<string>[];
  prediction: Maybe<string>[];
  picture: Maybe<number>[];
  image: Maybe<string>[];
  images: number[];
  hint?: Maybe<string>[];
  options?: Maybe<string[]>[]; // of questions that have their own
  text?: Maybe<string>[]; // what was written, with how many tokens, and how it ended
  n_generated?: number[];
  ended?: Maybe<"stop" | "length">[];
}

export interface Flow {
  name: string;
  label: string;
  meaning: string;
  colour: string;
  panel: number;
  of: string;
}

// All maps: whose attention they show, of the last token or of the question; the heads that have some, of the heads that
// have some in the run; the end of the scale, over an even map; how far grey images are moved towards white
export interface Maps {
  of: "a" | "q";
  cells: number[];
  there: number;
  top: number;
  pale: number;
}

// The heads of the run that this one is compared with: the measures that both have, its layers and heads
export interface Beside {
  measures: string[];
  layers: number[];
  heads: number;
}

export type Box = [left: number, top: number, right: number, bottom: number]; // in shares of the image

// The maps of a sample: their grid, what it covers, the image in pixels, where the answer lies, the end of the scale of
// the bytes, and where they begin in the arrays `maps` [cells, patches] and `masses` [cells] of their piece
export interface MapsOfSample {
  rows: number;
  columns: number;
  box: Box;
  size: [width: number, height: number];
  boxes: Box[];
  top: number;
  maps: number;
  masses: number;
}

// The texts of a run: the heads whose masses of steps the page has, of all that have some; those whose maps of steps it
// has, of all that have some; the rows of both; how far apart the steps with rows are; the highest mass, of the mean over
// heads and of each head; and the scale of maps
export interface Texts {
  cells: number[];
  there: number;
  mapped: number[];
  mapped_there: number;
  rows: number[];
  mapped_rows: number[];
  every: number;
  highest: number[];
  top: number;
  pale: number;
}

// A text: its tokens, where its values begin in the arrays of its piece, and its maps
export interface TextOfSample {
  pieces: string[];
  means: number;
  masses: number;
  maps?: MapsOfSample;
}

// A piece with texts by row: the arrays `means` [steps], `masses` uint16 [cells, steps], `maps` [mapped, steps, patches]
// and `masses_of_maps` [mapped, steps]
export interface TextsPiece {
  cells: number[];
  mapped: number[];
  samples: Record<number, TextOfSample>;
}

// How questions are asked: the conversation template, and a suffix, or a wording; how many tokens each role has, by row
export interface Prompt {
  template: Maybe<string>;
  suffix: Maybe<string>;
  wording: Maybe<{ name: string; template: string; system: Maybe<string> }>;
  tokens: Maybe<Record<"bos" | "system" | "user" | "image" | "question", number[]>>;
}

export type Run = "a" | "b"; // the run, and the one that it is compared with

// What stands for the lowest and the highest of values in 16 bits: 0 and 65534; 65535 is none
export interface Ends {
  low: number;
  high: number;
}

// A page that is a folder: how many rows a piece of samples has, the rows that have a piece of their own, and how many
// heads a piece with the values of all samples has
export interface Layout {
  each: number;
  whole: number[];
  heads: number;
}

// A piece with images (JPEG in base64), with the maps of some heads, of samples by row, and with the values of all heads
// for some rows: the arrays `values/KEY`, uint16 [rows, heads], by measure. The one of B is by the rows of A, and has
// maps only
export interface Evidence {
  images: string[];
  cells: number[];
  samples: Record<number, MapsOfSample>;
  rows?: number[];
  values?: Record<string, Ends>;
}

// A piece with the values of some heads for all samples, by measure: the arrays `KEY`, uint16 [cells, samples]
export type Values = Record<string, Ends & { cells: number[] }>;

// The second run by the rows of the first: null where it has no such sample; and the columns of `page.numbers`. `values`:
// the heads whose values are in the page, by measure
export interface Second {
  layers: number[];
  heads: number;
  values: Record<string, number[]>;
  right: Maybe<0 | 1>[];
  prediction: Maybe<string>[];
  text?: Maybe<string>[];
  n_generated?: Maybe<number>[];
  ended?: Maybe<"stop" | "length">[];
  texts: Maybe<Texts>; // null where one of the runs has no rows of steps
}

export type Spec = Record<string, unknown>;

export interface Page {
  run: string; // its name, for files
  words: Record<string, string>;
  page: string; // its name, which its pieces have; "" in a file
  layers: number[];
  heads: number;
  categories: string[];
  measures: Measure[];
  measure: string;
  localised: Maybe<number>; // samples that say how compact maps are; null without maps
  kinds: Kind[];
  flows: Flow[];
  beside: Maybe<Beside>;
  columns: [name: string, label: string][]; // of the charts of both runs
  samples: Samples;
  prompt: Prompt;
  scored: boolean; // whether any question has a right answer
  states: string[];
  stateless: string;
  opposite: boolean;
  numbers: Record<string, string>;
  images: number; // how many are in the page
  maps: Maybe<Maps>;
  texts: Maybe<Texts>; // null in a run without rows of steps
  values: Maybe<Record<string, number[]>>; // the heads whose values for all samples are there, by measure; null: all
  folder: Maybe<Layout>; // null: the page is one file
  second: Maybe<Second>;
  charts: Record<string, Spec>;
}

// Arrays by name: the type, the first byte, and how many numbers
export type Index = Record<string, [keyof typeof FORMATS, number, number]>;

const FORMATS = { float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };

// A typed array of any format
export interface Numbers extends ArrayLike<number> {
  [Symbol.iterator](): IterableIterator<number>;
  keys(): IterableIterator<number>;
  subarray(first: number, last: number): Numbers;
}

const textOf = (id: string) => document.getElementById(id)!.textContent!;
export const page: Page = JSON.parse(textOf("page-data"));
export const { layers, heads, categories, samples } = page;
export const cells = layers.length * heads; // `layers`: the numbers of those that attend

export type Arrays = (name: string) => Numbers;

// Unpacks arrays, which are gzip in base64; of each, the first bytes of all numbers stand together, then the second ones
export async function unpacked(index: Index, packed: string): Promise<Arrays> {
  const content = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const made = new Map<string, Numbers>();
  const make = (name: string): Numbers => {
    const [type, first, number] = index[name];
    const size = FORMATS[type].BYTES_PER_ELEMENT;
    const own = new Uint8Array(number * size);
    for (let place = 0; place < own.length; place++) own[(place % number) * size + Math.floor(place / number)] = bytes[first + place];
    const found = new FORMATS[type](own.buffer);
    made.set(name, found);
    return found;
  };
  return (name) => made.get(name) ?? make(name);
}

let arrays: Arrays;

// Gives the page its arrays; before it none can be read
export function setArrays(own: Arrays): void {
  arrays = own;
}

export const array: Arrays = (name) => arrays(name);

// A column of numbers of the samples, such as `margin`, or of those of B; empty where there is none
export function column(name: string, run: Run = "a"): Maybe<number>[] {
  return (((run === "a" ? samples : page.second) ?? {}) as Record<string, Maybe<number>[]>)[name] ?? [];
}

export const layerOf = (cell: number) => layers[Math.floor(cell / heads)];
export const headOf = (cell: number) => cell % heads;
