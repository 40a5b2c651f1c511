// Generated texts: their tokens, the image mass of heads at each step, and maps of steps.
import { type TextOfSample, type TextsPiece, array, cells, page, samples } from "./data";
import type { HeadMap } from "./maps";
import { type Piece, texts } from "./pieces";

const ONE = 65535; // what stands for a mass of 1
const COLOURS = 256;

// A text, as far as the page has it
interface Found {
  piece: Piece<TextsPiece>;
  own: TextOfSample;
}

function textOf(row: number): Found | null {
  const piece = texts(row);
  const own = piece?.data.samples[row];
  return piece && own ? { piece, own } : null;
}

export const tokensOf = (row: number): string[] | null => textOf(row)?.own.pieces ?? null;

// Whether the page has masses of steps of a head, or maps of steps on a sample
export const hasMasses = (cell: number) => page.texts?.cells.includes(cell) ?? false;
export const hasStepMaps = (row: number) => page.texts?.mapped_rows.includes(row) ?? false;

// How many steps of a sample have rows
const stepsOf = (row: number) => Math.ceil((samples.n_generated?.[row] ?? 0) / page.texts!.every);

// The place of a step among those that have rows; null where it has none
function placeOf(step: number): number | null {
  const { every } = page.texts!;
  return step >= 0 && step % every === 0 ? step / every : null;
}

// The image mass of a head at a step; of `null`, the mean over all heads. NaN where the page has none
export function massAt(row: number, step: number, cell: number | null): number {
  const found = textOf(row);
  const place = placeOf(step);
  if (!found || place === null || place >= stepsOf(row)) return NaN;
  if (cell === null) return found.piece.array("means")[found.own.means + place];
  const head = found.piece.data.cells.indexOf(cell);
  return head < 0 ? NaN : found.piece.array("masses")[found.own.masses + head * stepsOf(row) + place] / ONE;
}

// The map of a head at a step
export function mapAt(row: number, step: number, cell: number): HeadMap | null {
  const found = textOf(row);
  const sample = found?.own.maps;
  const head = found?.piece.data.mapped.indexOf(cell) ?? -1;
  const place = placeOf(step);
  if (!found || !sample || head < 0 || place === null || place >= stepsOf(row)) return null;
  const number = head * stepsOf(row) + place;
  const patches = sample.rows * sample.columns;
  const first = sample.maps + number * patches;
  return {
    sample,
    values: found.piece.array("maps").subarray(first, first + patches),
    mass: found.piece.array("masses_of_maps")[sample.masses + number],
  };
}

// Where the scale of tokens ends: at the highest mass of any head, or of what is shown, in all texts of the page
export function endOfScale(cell: number | null, all: boolean): number {
  const { highest } = page.texts!;
  const end = all ? Math.max(...highest) : highest[cell === null ? 0 : 1 + cell];
  return end || 1;
}

// The colour of a mass, as CSS, and that of letters on it
export function shadeOf(mass: number, end: number): { background: string; color: string } {
  const step = Math.round(Math.min(1, mass / end) * (COLOURS - 1));
  const [red, green, blue, white] = array("token_colours").subarray(4 * step, 4 * step + 4);
  return { background: `rgb(${red} ${green} ${blue})`, color: white ? "#fff" : "#000" };
}

export const numberOfTexts = () => samples.text?.filter((text) => text !== null).length ?? 0;
export const numberOfHeads = () => page.texts?.there ?? cells;
