// Pieces of the page's data: in the page from the beginning, each in a script element `piece-NAME`.
import { type Arrays, type Evidence, type Index, type Run, type Values, unpacked } from "./data";

interface Packed {
  data: unknown;
  index: Index;
  packed: string;
}
export interface Piece<T> {
  data: T;
  array: Arrays;
}

const loaded = new Map<string, Piece<unknown>>();

// Unpacks the pieces that are in the page
export async function loadPieces(): Promise<void> {
  for (const place of document.querySelectorAll<HTMLElement>("script[id^=piece-]")) {
    const { data, index, packed } = JSON.parse(place.textContent!) as Packed;
    loaded.set(place.id.slice("piece-".length), { data, array: await unpacked(index, packed) });
  }
}

function piece<T>(name: string, run: Run): Piece<T> | undefined {
  return loaded.get(run === "a" ? name : `${name}_b`) as Piece<T> | undefined;
}

export const evidence = (run: Run = "a") => piece<Evidence>("evidence", run);
export const values = (run: Run = "a") => piece<Values>("values", run);
