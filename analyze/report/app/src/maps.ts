// Maps of attention on the patches of an image: where they are, and how they are painted.
import { type Grid, type Numbers, array, page } from "./data";

const BRIGHTEST = [255, 240]; // red, and green of the brightest patch
const LEAST_GREEN = 40;
const MOST_OPAQUE = 205;

export const hasMaps = (cell: number) => page.maps?.cells.includes(cell) ?? false;
export const gridOf = (row: number): Grid | undefined => page.maps?.grids[row];

// The map of a head on a sample, as steps of the square root
export function mapOf([rows, columns, , , , , first]: Grid, cell: number): Numbers {
  const start = first + page.maps!.cells.indexOf(cell) * rows * columns;
  return array("maps").subarray(start, start + rows * columns);
}

// Paints a map, a pixel a patch: the opacity is the square root; the brightest patch is opaque
export function paint(canvas: HTMLCanvasElement, grid: Grid, cell: number): void {
  const values = [...mapOf(grid, cell)];
  const most = Math.max(1, ...values);
  const [red, green] = BRIGHTEST;
  const [rows, columns] = grid;
  const pixels = new ImageData(columns, rows);
  values.forEach((value, patch) => {
    const share = value / most;
    pixels.data.set([red, LEAST_GREEN + (green - LEAST_GREEN) * share ** 2, 0, MOST_OPAQUE * share], patch * 4);
  });
  canvas.getContext("2d", { willReadFrequently: true })!.putImageData(pixels, 0, 0);
}
