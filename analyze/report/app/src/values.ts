// Values of heads for single samples, where the page has them.
import { type Ends, type Run, array, cells, heads, layers, page } from "./data";
import { mapOf } from "./maps";
import { measureOf } from "./measures";
import { values, valuesOfRow } from "./pieces";
import type { State } from "./state";

const NONE = 65535;
const valueOf = (step: number, { low, high }: Ends) => (step === NONE ? NaN : low + (step / (NONE - 1)) * (high - low));

// The value of a head by row, NaN where a sample has none; null where the page does not have them
function valuesOfHead(key: string, cell: number, run: Run = "a"): ((row: number) => number) | null {
  const piece = values(key, cell, run);
  const own = piece?.data[key];
  const place = own?.cells.indexOf(cell) ?? -1;
  if (!piece || !own || place < 0) return null;
  const steps = piece.array(key);
  const samples = steps.length / own.cells.length;
  return (row) => valueOf(steps[place * samples + row], own);
}

// The values of all heads for a sample, by cell; null where the page does not have them
function valuesOfSample(key: string, row: number): number[] | null {
  const piece = valuesOfRow(row);
  const own = piece?.data.values?.[key];
  const place = piece?.data.rows?.indexOf(row) ?? -1;
  if (!piece || !own || place < 0) return null;
  return Array.from(piece.array(`values/${key}`).subarray(place * cells, (place + 1) * cells), (step) => valueOf(step, own));
}

// The value of a head by row, as far as the page has it: for all samples, or for those with an image and the highest ones
export function knownValues(key: string, cell: number): (row: number) => number | undefined {
  const all = valuesOfHead(key, cell);
  if (all) return (row) => (Number.isNaN(all(row)) ? undefined : all(row));
  const { kept } = measureOf(key);
  const [rows, highest] = [array(`${key}/top`), array(`${key}/values`)];
  const places = Array.from({ length: kept }, (_, each) => cell * kept + each);
  const top = new Map(places.map((place) => [rows[place] - 1, highest[place]]));
  // A folder loads the whole of them
  return (row) => top.get(row) ?? (page.folder ? undefined : valuesOfSample(key, row)?.[cell]);
}

// Whether B has as many layers and heads, so that a head has its counterpart at the same place
export const sameShape = () => String(page.second?.layers) === String(layers) && page.second!.heads === heads;

// The head that is shown of a run: of B the one at the place of A's, or where it has other heads the one chosen there
export const shownCell = ({ cell, cellB }: State, run: Run) => (run === "a" || sameShape() ? cell : cellB);

// The value of a head of B by row; null where the page does not have them
export const valuesOfB = (key: string, cell: number) => valuesOfHead(key, cell, "b");

// The same of the head at the same place in B; null where it has no such heads
export function valuesInB(key: string, cell: number): ((row: number) => number) | null {
  return sameShape() ? valuesOfHead(key, cell, "b") : null;
}

// The column of the attention mass on the image, of the tokens that maps are of
const columnOfMass = () => `${page.maps?.of ?? "a"}2v`;
export const nameOfMass = () => columnOfMass().toUpperCase();

// Its value
export function massOf(row: number, cell: number, run: Run = "a"): number | undefined {
  const key = `looking/${columnOfMass()}`;
  const there = page.measures.some((each) => each.key === key);
  const values = !there ? null : run === "a" ? knownValues(key, cell) : valuesOfB(key, cell);
  return mapOf(row, cell, run)?.mass ?? values?.(row);
}
