// Values of heads for single samples, where the page has them.
import { type Ends, type Run, cells } from "./data";
import { values, valuesOfRow } from "./pieces";

const NONE = 65535;
const valueOf = (step: number, { low, high }: Ends) => (step === NONE ? NaN : low + (step / (NONE - 1)) * (high - low));

// The value of a head by row, NaN where a sample has none; null where the page does not have them
export function valuesOfHead(key: string, cell: number, run: Run = "a"): ((row: number) => number) | null {
  const piece = values(key, cell, run);
  const own = piece?.data[key];
  const place = own?.cells.indexOf(cell) ?? -1;
  if (!piece || !own || place < 0) return null;
  const steps = piece.array(key);
  const samples = steps.length / own.cells.length;
  return (row) => valueOf(steps[place * samples + row], own);
}

// The values of all heads for a sample, by cell; null where the page does not have them
export function valuesOfSample(key: string, row: number): number[] | null {
  const piece = valuesOfRow(row);
  const own = piece?.data.values?.[key];
  const place = piece?.data.rows?.indexOf(row) ?? -1;
  if (!piece || !own || place < 0) return null;
  return Array.from(piece.array(`values/${key}`).subarray(place * cells, (place + 1) * cells), (step) => valueOf(step, own));
}
