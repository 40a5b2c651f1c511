// What Python writes into the page (analyze/report/page.py), with its types, and the arrays in it by name.

export type Kind = "looking" | "contributing" | "mattering";
type Maybe<T> = T | null;

// A quantity of heads; `signed`: it may be below 0. Its arrays are named `KEY/...`
export interface Measure {
  name: string;
  key: string;
  kind: Kind;
  label: string;
  signed: boolean;
  reliability: Maybe<number>;
  edges: number[];
  kept: number;
}

// Samples by column. `picture`: a place in `images`; `images`: how many the question has
export interface Samples {
  id: string[];
  category: number[];
  state: number[];
  right: Maybe<0 | 1>[];
  question: Maybe<string>[];
  answer: Maybe<string>[];
  prediction: Maybe<string>[];
  picture: Maybe<number>[];
  images: number[];
}

export interface Flow {
  name: string;
  label: string;
  colour: string;
  panel: number;
  of: string;
}

// `rows columns x0 y0 x1 y1` of a grid, the rectangle in shares of the image, and where the maps of its sample begin
export type Grid = [number, number, number, number, number, number, number];

export interface Maps {
  of: "a" | "q";
  cells: number[];
  there: number;
  grids: Record<number, Grid>;
}

export type Spec = Record<string, unknown>;

export interface Page {
  words: Record<string, string>;
  layers: number[];
  heads: number;
  categories: string[];
  measures: Measure[];
  measure: string;
  kinds: Kind[];
  flows: Flow[];
  samples: Samples;
  states: string[];
  stateless: string;
  opposite: boolean;
  numbers: Record<string, string>;
  images: string[];
  maps: Maybe<Maps>;
  charts: Record<string, Spec>;
  arrays: Record<string, [keyof typeof FORMATS, number, number]>;
}

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

let bytes: ArrayBuffer;

// Unpacks the arrays, which are gzip in base64; before it none can be read
export async function load(): Promise<void> {
  const letters = atob(textOf("page-arrays"));
  const packed = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  bytes = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

export function array(name: string): Numbers {
  const [type, first, number] = page.arrays[name];
  return new FORMATS[type](bytes, first, number);
}

// A column of numbers of the samples, such as `margin`
export const column = (name: string) => (samples as unknown as Record<string, Maybe<number>[]>)[name];

export const layerOf = (cell: number) => layers[Math.floor(cell / heads)];
export const headOf = (cell: number) => cell % heads;
