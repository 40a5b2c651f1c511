// Pieces of the page's data. In a page that is one file each is in a script element `piece-NAME`; in one that is a folder
// it is the script `pieces/NAME.js`, which is loaded when it is first asked for, from a disk or a web server.
import { type Arrays, type Evidence, type Index, type Run, type TextsPiece, type Values, cells, page, setArrays, unpacked } from "./data";

interface Packed {
  page: string; // which page it is of
  data: unknown;
  index: Index;
  packed: string;
}
export interface Piece<T> {
  data: T;
  array: Arrays;
}

declare global {
  interface Window {
    headflowPiece?: (name: string, content: Packed) => void; // what a script of a piece calls
  }
}

const loaded = new Map<string, Piece<unknown>>();
const asked = new Set<string>();
const missing = new Set<string>();
const taken = new Map<string, Promise<void>>(); // those that scripts gave
let listener: () => void;

// The pieces that were asked for and did not come, or came damaged
export const missingPieces = () => [...missing];

// How many pieces have come: what is computed from them holds until this changes
export const piecesLoaded = () => loaded.size;

async function take(name: string, { page: own, data, index, packed }: Packed): Promise<void> {
  if (own !== page.page) throw new Error(`${name} is of another page`);
  loaded.set(name, { data, array: await unpacked(index, packed) });
}

function fetchPiece(name: string): Promise<void> {
  asked.add(name);
  return new Promise((resolve) => {
    const script = document.createElement("script");
    const fail = () => {
      missing.add(name);
      resolve();
    };
    script.src = `pieces/${name}.js`;
    script.onerror = fail;
    script.onload = () => {
      script.remove();
      // It ran before: one that is cut short gave nothing
      (taken.get(name) ?? Promise.reject()).then(resolve, fail);
    };
    document.head.append(script);
  });
}

// Takes the pieces that are in the page, and the page's own arrays; `redraw` is called whenever another one has come.
// Returns whether the page can be drawn
export async function loadPieces(redraw: () => void): Promise<boolean> {
  listener = redraw;
  window.headflowPiece = (name, content) => void taken.set(name, take(name, content));
  for (const place of document.querySelectorAll<HTMLElement>("script[id^=piece-]")) {
    await take(place.id.slice("piece-".length), JSON.parse(place.textContent!) as Packed);
  }
  if (page.folder) await fetchPiece("page");
  const own = loaded.get("page");
  if (own) setArrays(own.array);
  return own !== undefined;
}

// A piece, once it is there: a page that is a folder begins to load it, and is drawn again
function piece<T>(name: string): Piece<T> | undefined {
  if (page.folder && !asked.has(name)) void fetchPiece(name).then(() => listener());
  return loaded.get(name) as Piece<T> | undefined;
}

// The piece with the image of a row, and with the maps of a head on it
export function evidence(row: number, run: Run = "a", cell: number | null = null): Piece<Evidence> | undefined {
  if (run === "b") return page.second ? piece("evidence_b") : undefined;
  if (!page.folder) return piece("evidence");
  const { each, whole } = page.folder;
  const own = cell !== null && !page.maps?.cells.includes(cell) && whole.includes(row);
  return piece(own ? `sample-${row}` : `samples-${Math.floor(row / each)}`);
}

// The piece with the values of all heads for a row
export function valuesOfRow(row: number): Piece<Evidence> | undefined {
  if (!page.folder) return piece("evidence");
  return page.folder.whole.includes(row) ? piece(`sample-${row}`) : undefined;
}

// The piece with the text of a row
export function texts(row: number, run: Run = "a"): Piece<TextsPiece> | undefined {
  if (run === "b") return page.second?.texts?.rows.includes(row) ? piece("texts_b") : undefined;
  if (!page.texts?.rows.includes(row)) return undefined;
  return piece(page.folder ? `text-${row}` : "texts");
}

// The piece with the values of a head for all samples
export function values(key: string, cell: number, run: Run = "a"): Piece<Values> | undefined {
  if (run === "b") return page.second ? piece("values_b") : undefined;
  if (!page.folder) return piece("values");
  const measure = page.measures.findIndex((each) => each.key === key);
  return cell < cells ? piece(`values-${measure}-${Math.floor(cell / page.folder.heads)}`) : undefined;
}
