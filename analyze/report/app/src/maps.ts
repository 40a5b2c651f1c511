// Maps of attention on the patches of an image, in the one encoding of all of them: attention over an even map, from 1 to
// one end for the whole page, logarithmic, in the colours that Python gives. No more than even is transparent.
import { type MapsOfSample, type Numbers, type Run, array, page, samples } from "./data";
import { evidence } from "./pieces";

const STEPS = 255; // of a byte, and of the table of colours

// The end of the scale of all maps, and how pale images are under them
export const scaleOfMaps = () => (page.maps ?? page.texts)!;

export const hasMaps = (cell: number) => page.maps?.cells.includes(cell) ?? false;

// A map of a head on a sample; `values` are steps of the logarithm up to 255 for `sample.top`
export interface HeadMap {
  sample: MapsOfSample;
  values: Numbers;
  mass: number;
}

export function mapOf(row: number, cell: number, run: Run = "a"): HeadMap | null {
  const piece = evidence(row, run, cell);
  const sample = piece?.data.samples[row];
  const place = piece?.data.cells.indexOf(cell) ?? -1;
  if (!piece || !sample || place < 0) return null;
  const patches = sample.rows * sample.columns;
  const first = sample.maps + place * patches;
  return {
    sample,
    values: piece.array("maps").subarray(first, first + patches),
    mass: piece.array("masses")[sample.masses + place],
  };
}

// The address of a sample's image; null where it is not there, or not yet
export function imageSource(row: number): string | null {
  const place = samples.picture[row];
  const piece = place === null ? undefined : evidence(row);
  return piece ? `data:image/jpeg;base64,${piece.data.images[place!]}` : null;
}

// Paints a map, a pixel a patch
export function paint(canvas: HTMLCanvasElement, { sample, values }: HeadMap): void {
  const scale = Math.log(sample.top) / Math.log(scaleOfMaps().top);
  const steps = Array.from(values, (value) => Math.round(value * scale));
  paintSteps(canvas, steps, sample.columns, sample.rows);
}

function paintSteps(canvas: HTMLCanvasElement, steps: number[], width: number, height: number): void {
  const colours = array("colours");
  const pixels = new ImageData(width, height);
  steps.forEach((step, place) => pixels.data.set([...colours.subarray(4 * step, 4 * step + 4)], 4 * place));
  canvas.getContext("2d", { willReadFrequently: true })!.putImageData(pixels, 0, 0);
}

// Paints the scale from left to right
export function paintScale(canvas: HTMLCanvasElement): void {
  paintSteps(canvas, [...Array(STEPS + 1).keys()], STEPS + 1, 1);
}

// The numbers beside the scale, and where they stand, in shares of its length
export function ticks(): [value: number, place: number][] {
  const { top } = scaleOfMaps();
  const inner = [2, 5, 10, 20, 50, 100, 200, 500, 1000].filter((value) => value < top);
  const few = inner.length > 3 ? inner.filter((value) => /^1/.test(String(value))) : inner;
  return [1, ...few, top].map((value) => [value, Math.log(value) / Math.log(top)]);
}

// The part of the image that the model reads; null: all of it, but for a pixel
export function inside({ box, size }: MapsOfSample): { x: number; y: number; width: number; height: number } | null {
  const [x0, y0, x1, y1] = box;
  const [dx, dy] = [1 / size[0], 1 / size[1]];
  if (x0 < dx && y0 < dy && x1 > 1 - dx && y1 > 1 - dy) return null;
  const [left, top] = [Math.max(x0, 0), Math.max(y0, 0)];
  return { x: left, y: top, width: Math.min(x1, 1) - left, height: Math.min(y1, 1) - top };
}

// What is drawn of a sample: its image and all patches, in shares of the image
export function extent({ box }: MapsOfSample): { left: number; top: number; width: number; height: number } {
  const [left, top] = [Math.min(0, box[0]), Math.min(0, box[1])];
  return { left, top, width: Math.max(1, box[2]) - left, height: Math.max(1, box[3]) - top };
}
