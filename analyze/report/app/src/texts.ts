// Generated texts: their tokens, the image mass of heads at each step, and maps of steps.
import { type Run, type TextOfSample, type Texts, type TextsPiece, array, cells, page, samples } from "./data";
import type { HeadMap } from "./maps";
import { type Piece, texts } from "./pieces";

const ONE = 65535; // what stands for a mass of 1
const COLOURS = 256;

// A text, as far as the page has it
interface Found {
  piece: Piece<TextsPiece>;
  own: TextOfSample;
}

// What the page has of the texts of a run
export const textsOf = (run: Run = "a"): Texts | null => (run === "a" ? page.texts : (page.second?.texts ?? null));

function textOf(row: number, run: Run): Found | null {
  const piece = texts(row, run);
  const own = piece?.data.samples[row];
  return piece && own ? { piece, own } : null;
}

export const tokensOf = (row: number, run: Run = "a"): string[] | null => textOf(row, run)?.own.pieces ?? null;

// Whether the page has masses of steps of a head, or maps of steps on a sample
export const hasMasses = (cell: number, run: Run = "a") => textsOf(run)?.cells.includes(cell) ?? false;
export const hasStepMaps = (row: number, run: Run = "a") => textsOf(run)?.mapped_rows.includes(row) ?? false;

// How many tokens the text of a sample has, and how many of their steps have rows
export const lengthOf = (row: number, run: Run = "a") => (run === "a" ? samples : page.second)?.n_generated?.[row] ?? 0;
const stepsOf = (row: number, run: Run) => Math.ceil(lengthOf(row, run) / textsOf(run)!.every);

// The place of a step among those that have rows; null where it has none
function placeOf(step: number, run: Run): number | null {
  const { every } = textsOf(run)!;
  return step >= 0 && step % every === 0 ? step / every : null;
}

// The image mass of a head at a step; of `null`, the mean over all heads. NaN where the page has none
export function massAt(row: number, step: number, cell: number | null, run: Run = "a"): number {
  const found = textOf(row, run);
  if (!found) return NaN;
  const place = placeOf(step, run);
  const steps = stepsOf(row, run);
  if (place === null || place >= steps) return NaN;
  if (cell === null) return found.piece.array("means")[found.own.means + place];
  const head = found.piece.data.cells.indexOf(cell);
  return head < 0 ? NaN : found.piece.array("masses")[found.own.masses + head * steps + place] / ONE;
}

// The map of a head at a step
export function mapAt(row: number, step: number, cell: number, run: Run = "a"): HeadMap | null {
  const found = textOf(row, run);
  const sample = found?.own.maps;
  const head = found?.piece.data.mapped.indexOf(cell) ?? -1;
  if (!found || !sample || head < 0) return null;
  const place = placeOf(step, run);
  const steps = stepsOf(row, run);
  if (place === null || place >= steps) return null;
  const number = head * steps + place;
  const patches = sample.rows * sample.columns;
  const first = sample.maps + number * patches;
  return {
    sample,
    values: found.piece.array("maps").subarray(first, first + patches),
    mass: found.piece.array("masses_of_maps")[sample.masses + number],
  };
}

// Where the scale of tokens ends: at the highest mass of any head, or of what is shown, in all texts of the page, of
// both runs; `shown`: the head of a run, null for the mean
export function endOfScale(shown: (run: Run) => number | null, all: boolean): number {
  const ends = (["a", "b"] as const).flatMap((run) => {
    const highest = textsOf(run)?.highest ?? [];
    return all ? highest : (highest[1 + (shown(run) ?? -1)] ?? 0);
  });
  return Math.max(...ends) || 1;
}

// The colour of a mass, as CSS, and that of letters on it
export function shadeOf(mass: number, end: number): { background: string; color: string } {
  const step = Math.round(Math.min(1, mass / end) * (COLOURS - 1));
  const [red, green, blue, white] = array("token_colours").subarray(4 * step, 4 * step + 4);
  return { background: `rgb(${red} ${green} ${blue})`, color: white ? "#fff" : "#000" };
}

export const numberOfTexts = (run: Run = "a") =>
  (run === "a" ? samples : page.second)?.text?.filter((text) => text !== null).length ?? 0;
export const numberOfHeads = (run: Run = "a") => textsOf(run)?.there ?? cells;
