// Texts of the page, in its language, and numbers as it writes them.
import { type Run, categories, headOf, layerOf, page } from "./data";

export const words = page.words;

export function filled(name: string, values: Record<string, string | number>): string {
  const text = words[name].replace(/\{(\w+)\}/g, (_, key: string) => String(values[key]));
  return text.replace(/(token|patch)(?=[\u4e00-\u9fff])/g, "$1 "); // in Chinese, words of Latin letters stand apart
}

// A text about a number of things; of one of them it may be another one
export function counted(name: string, number: number): string {
  return filled(number === 1 && `${name}_one` in words ? `${name}_one` : name, { number });
}

export const clipped = (text: string, most: number) => (text.length > most ? `${text.slice(0, most)}…` : text);

const missing = (value: number | null | undefined) => value === null || value === undefined || Number.isNaN(value);
export const minus = (text: string) => text.replace("-", "−");

export function digits(value: number | null | undefined, places: number): string {
  return missing(value) ? "–" : minus(value!.toFixed(places));
}

export const headName = (cell: number) => filled("head_name", { layer: layerOf(cell), head: headOf(cell) });

// A head of either run
export function shortName(cell: number, run: Run = "a"): string {
  if (run === "a") return `L${layerOf(cell)}H${headOf(cell)}`;
  const { layers, heads } = page.second!;
  return `L${layers[Math.floor(cell / heads)]}H${cell % heads}`;
}

export const categoryName = (category: number) => (category ? categories[category - 1] : words.all);
