// What is chosen on the page, in one object. Components read it and call `go`; none keeps a choice of its own.
import { order } from "./measures";
import { page } from "./data";

export interface State {
  measure: string; // its key
  category: number; // of heads; 0: all, else its place + 1
  cell: number; // the head, layer x heads + head
  shade: "value" | "rank"; // colours of the map of heads
  panel: number; // distributions: the group of columns,
  of: number; // and what they are of: 0 the run, then each layer, then each category
  sampleCategory: number; // samples: -1 any, else its place
  pair: number; // -2 any, -1 none, else its place in `states`
  search: string;
  page: number;
  marked: number; // the row of the sample that is pointed at, or -1
  overlay: boolean; // whether images show maps
  theme: "" | "light" | "dark"; // "": the reader's system decides
}

let current: State;
let listener: () => void;

// Begins with what the page shows at first; `draw` is called at each change
export function begin(draw: () => void): void {
  listener = draw;
  current = {
    measure: page.measure,
    category: 0,
    cell: order(page.measure, 0)[0],
    shade: "value",
    panel: 0,
    of: 0,
    sampleCategory: -1,
    pair: -2,
    search: "",
    page: 0,
    marked: -1,
    overlay: true,
    theme: "",
  };
}

export const state = () => current;

export function go(change: Partial<State>): void {
  current = { ...current, ...change };
  listener();
}
