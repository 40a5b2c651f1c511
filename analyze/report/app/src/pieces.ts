// Pieces of the page's data: in the page from the beginning, each in a script element `piece-NAME`.
import { type Arrays, type Evidence, type Index, unpacked } from "./data";

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

export const evidence = () => loaded.get("evidence") as Piece<Evidence> | undefined;
