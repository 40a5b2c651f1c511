// A chart as a file: SVG and PNG for print, as wide as a column or a page, white and without a title, and its values as CSV.
import { type Rows, type Shown, embed, titled } from "./chart";
import { type Spec, page } from "./data";
import { PRINT } from "./theme";

export type Format = "svg" | "narrow" | "wide" | "csv";

const POINTS = 72; // of an inch: what a chart for print is laid out in
const DOTS = 300; // of an inch, in a PNG
const INCHES = { narrow: 3.3, wide: 6.9, svg: 6.9 };
const FLATTER = { narrow: 0.55, wide: 0.75, svg: 0.75 }; // than on the screen,
const LOWEST = 115; // but no lower than this, so that the titles of axes fit
const THINNER: Record<string, number> = { strokeWidth: 0.5, thickness: 0.5, size: 0.4, gradientLength: 0.55 };
const LONGEST = 40; // letters of a part of a file's name
const METRE = 39.3701; // inches
const OWN = new Set(["chosen", "picked"]); // data that only mark what others have
const WORDED = new Set(["text", "all_text", "interval", "corrected", "shade", "order", "place", "cell", "ink", "inside", "place_end"]); // no values of a chart

export async function save(chart: Shown, format: Format): Promise<void> {
  const parts = [page.run, chart.id ?? chart.name.replace("_signed", ""), ...(chart.parts ?? [])];
  const name = parts.map((part) => part.replace(/[^\p{L}\p{N}-]+/gu, "_").slice(0, LONGEST)).join("_");
  if (format === "csv") return offer(`${name}.csv`, new Blob([csv(rowsOf(chart), chart.titles)], { type: "text/csv" }));
  const [made, done] = await forPrint(chart, format);
  try {
    const file = `${name}_${INCHES[format]}in`;
    if (format === "svg") {
      const text = (await made.view.toSVG()).replace(/(<svg[^>]*? width="[\d.]+)("[^>]*? height="[\d.]+)"/, '$1pt$2pt"');
      offer(`${file}.svg`, new Blob([text], { type: "image/svg+xml" }));
    } else {
      const url = await made.view.toImageURL("png", DOTS / POINTS);
      offer(`${file}.png`, new Blob([withDots(bytesOf(url))], { type: "image/png" }));
    }
  } finally {
    done();
  }
}

// The chart drawn anew beside the page, with the colours and letters of print
async function forPrint(chart: Shown, format: "svg" | "narrow" | "wide") {
  const place = document.createElement("div");
  place.className = "for-print";
  document.body.append(place);
  const width = Math.round(INCHES[format] * POINTS);
  const data = Object.entries(chart.data ?? {}).map(([name, rows]) => [name, OWN.has(name) ? [] : rows]);
  const signals = { ...chart.signals };
  for (const name of Object.keys(signals)) if (name in PRINT.signals) signals[name] = PRINT.signals[name];
  const spec = {
    ...(thinner(withLegend(titled(chart.spec, chart.titles), labelsOf(chart), format === "narrow" ? 2 : 3)) as Spec),
    width,
    height: Math.max(LOWEST, Math.round((chart.spec.height as number) * FLATTER[format])),
  };
  const made = await embed(place, spec, { data: Object.fromEntries(data), signals }, PRINT);
  return [made, () => (made.finalize(), place.remove())] as const;
}

const labelsOf = ({ data }: Shown) => [...new Set(Object.values(data ?? {}).flat().map((row) => row.label as string))];

// On the page, the names of the distributions' colours stand above the chart
function withLegend(spec: Spec, values: string[], columns: number): Spec {
  const named = (part: unknown): unknown => {
    if (Array.isArray(part)) return part.map(named);
    if (typeof part !== "object" || part === null) return part;
    const own = Object.entries(part).map(([key, value]) => [key, key === "color" ? legended(value) : named(value)]);
    return Object.fromEntries(own);
  };
  const legended = (colour: Record<string, unknown>) =>
    colour.legend === null ? { ...colour, legend: { orient: "top", title: null, labelLimit: 400, values, columns } } : colour;
  return named(spec) as Spec;
}

// A spec with lines, marks and scales of colour for a smaller chart
function thinner(part: unknown): unknown {
  if (typeof part !== "object" || part === null) return part;
  if (Array.isArray(part)) return part.map(thinner);
  const own = Object.entries(part).map(([key, value]) => [
    key,
    key === "data" ? value : typeof value === "number" && key in THINNER ? value * THINNER[key] : thinner(value),
  ]);
  return Object.fromEntries(own);
}

// The rows of a chart: those that the page gives, or those in its spec
function rowsOf({ data, spec, signals }: Shown): Rows {
  const given = Object.entries(data ?? {}).filter(([name]) => !OWN.has(name) && name !== "steps");
  if (!given.length) {
    const [rows] = inSpec(spec).sort((one, other) => other.length - one.length);
    return rows.filter((row) => signals?.flow === undefined || row.flow === signals.flow);
  }
  return given.flatMap(([name, rows]) => rows.map((row) => (given.length > 1 ? { of: name, ...row } : row)));
}

function inSpec(spec: unknown): Rows[] {
  if (typeof spec !== "object" || spec === null) return [];
  const own = (spec as { data?: { values?: Rows } }).data?.values;
  return [...(own ? [own] : []), ...Object.values(spec).flatMap(inSpec)];
}

function csv(rows: Rows, titles?: { x: string; y: string }): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => !WORDED.has(name));
  const cell = (value: unknown) => {
    const text = value === null || value === undefined || Number.isNaN(value) ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const named = columns.map((name) => (titles as Record<string, string> | undefined)?.[name] ?? name);
  return [named, ...rows.map((row) => columns.map((name) => row[name]))].map((line) => `${line.map(cell).join(",")}\n`).join("");
}

function bytesOf(url: string): Uint8Array<ArrayBuffer> {
  const letters = atob(url.slice(url.indexOf(",") + 1));
  return Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
}

// A PNG that says how many dots an inch has: a chunk `pHYs` after its first one, which ends at byte 33
function withDots(png: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(png.length + 21);
  const view = new DataView(made.buffer);
  made.set(png.subarray(0, 33));
  made.set(png.subarray(33), 54);
  view.setUint32(33, 9);
  made.set([..."pHYs"].map((letter) => letter.charCodeAt(0)), 37);
  view.setUint32(41, Math.round(DOTS * METRE));
  view.setUint32(45, Math.round(DOTS * METRE));
  made[49] = 1; // the unit is the metre
  view.setUint32(50, checksum(made.subarray(37, 50)));
  return made;
}

// CRC-32, as PNG has it
function checksum(bytes: Uint8Array): number {
  let found = ~0;
  for (const byte of bytes) {
    found ^= byte;
    for (let bit = 0; bit < 8; bit++) found = (found >>> 1) ^ (found & 1 ? 0xedb88320 : 0);
  }
  return ~found >>> 0;
}

function offer(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
