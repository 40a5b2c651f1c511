// A chart: a Vega-Lite spec of the page, drawn into an element with its named data, and filled with others at each change.
import type { ComponentChildren, HTMLAttributes } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { type Spec, page } from "./data";
import { type Format, save } from "./export";
import { type Look, configOfCharts, scheme } from "./theme";
import { words } from "./words";

export type Rows = Record<string, unknown>[];

type Area = { x?: [number, number]; y?: [number, number] };

interface View {
  data(name: string, rows: Rows): View;
  signal(name: string, value: unknown): View;
  description(text: string): View;
  resize(): View;
  toSVG(): Promise<string>;
  toImageURL(kind: "png", scale: number): Promise<string>;
  runAsync(): Promise<View>;
  addSignalListener(name: string, handler: (name: string, value: Area) => void): void;
  addEventListener(type: string, handler: (event: unknown, item?: { datum?: Record<string, unknown> }) => void): void;
}
interface Embedded {
  view: View;
  finalize(): void;
}
declare const vegaEmbed: (place: HTMLElement, spec: unknown, options: unknown) => Promise<Embedded>;

const ERRORS = 1; // the least that Vega logs
const pending = new Set<Promise<unknown>>();

// Waits until all that was begun is drawn; until then a chart's element has `aria-busy`
export async function drawn(): Promise<void> {
  while (pending.size) await Promise.all(pending);
}

function track<T>(work: Promise<T>): Promise<T> {
  const own = work.finally(() => pending.delete(own));
  pending.add(own);
  return own;
}

// What a chart is drawn with: rows by the name of the data, values by the name of the signal
interface Given {
  data?: Record<string, Rows>;
  signals?: Record<string, unknown>;
}
interface Vega {
  data?: { name: string; values?: Rows }[];
  signals?: { name: string; value?: unknown }[];
}

// Vega's own spec, as Vega-Lite makes it, with what the chart is drawn with
function given(vega: Vega, { data = {}, signals = {} }: Given): Vega {
  for (const each of vega.data ?? []) if (each.name in data) each.values = data[each.name];
  for (const each of vega.signals ?? []) if (each.name in signals) each.value = signals[each.name];
  return vega;
}

export function embed(place: HTMLElement, spec: Spec, own: Given, look?: Look): Promise<Embedded> {
  return vegaEmbed(place, spec, {
    mode: "vega-lite",
    patch: (vega: Vega) => given(vega, own),
    ast: true,
    actions: false,
    renderer: "svg",
    defaultStyle: false,
    config: configOfCharts(look),
    logLevel: ERRORS,
    tooltip: { disableDefaultStyle: true },
  });
}

// A copy of the spec, with titles of its axes
export function titled(spec: Spec, titles?: ChartProps["titles"]): Spec {
  if (!titles) return structuredClone(spec);
  const names = new Map<unknown, string>([["X", titles.x], ["Y", titles.y]]);
  return JSON.parse(JSON.stringify(spec), (key, value) => (key === "title" ? (names.get(value) ?? value) : value));
}

function fill(view: View, { data, signals }: Given): Promise<View> {
  for (const [name, rows] of Object.entries(data ?? {})) view.data(name, rows);
  for (const [name, value] of Object.entries(signals ?? {})) view.signal(name, value);
  return view.resize().runAsync(); // labels may be wider than before
}

// A chart as it is shown; `parts`: what it is of, for the name of a file: a measure, a category, a head
export interface Shown extends Given {
  name: string;
  id?: string;
  parts?: string[];
  spec: Spec;
  titles?: { x: string; y: string };
}

// `data`, `signals`: new objects only where something changed
interface ChartProps extends Given {
  name: string; // in `page.charts`
  id?: string; // of the element, where it is not the chart's name
  label: string;
  parts?: string[]; // what it is of, for the name of a file
  onPick?: (datum: Record<string, unknown>) => void; // a mark was clicked
  onBrush?: (area: Area) => void; // an area was dragged over, or none
  titles?: { x: string; y: string }; // of axes, in place of `X` and `Y`
  plot?: HTMLAttributes<HTMLDivElement>;
}

// A chart that is drawn, and with what
interface Drawn extends Given {
  made: Embedded;
}

function Chart({ name, id = name, label, data, signals, onPick, onBrush, titles, plot }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const wanted = useRef({ label, data, signals, onPick, onBrush });
  const queue = useRef<Promise<Drawn> | null>(null);
  wanted.current = { label, data, signals, onPick, onBrush };

  const refill = async (drawn: Drawn) => {
    const { label, data, signals } = wanted.current;
    const { view } = drawn.made;
    view.description(label); // the element's `aria-label`
    if (drawn.data !== data || drawn.signals !== signals) {
      Object.assign(drawn, { data, signals });
      await fill(view, { data, signals });
    }
    return drawn;
  };
  useLayoutEffect(() => {
    const begun = embed(place.current!, titled(page.charts[name], titles), { data, signals }).then((made) => {
      if (onBrush) made.view.addSignalListener("brush", (_, area) => wanted.current.onBrush?.(area));
      // The chart has a name; Vega's names of its marks and axes are English
      place.current!.querySelector("svg")?.setAttribute("aria-hidden", "true");
      made.view.addEventListener("click", (_, item) => item?.datum && wanted.current.onPick?.(item.datum));
      return { made, data, signals };
    });
    queue.current = begun;
    return () => void begun.then(({ made }) => made.finalize());
  }, [name, scheme(), titles?.x, titles?.y]);
  useLayoutEffect(() => {
    const element = place.current!;
    element.ariaBusy = "true";
    const idle = () => {
      if (queue.current === own) element.ariaBusy = null;
    };
    const own: Promise<Drawn> = track(queue.current!.then(refill).finally(idle));
    queue.current = own;
  }, [name, scheme(), titles?.x, titles?.y, label, data, signals]);

  return <div class="plot" id={id} ref={place} {...plot} />;
}

// A chart in its frame, with what stands below it
export function Figure({ children, ...chart }: ChartProps & { children?: ComponentChildren }) {
  return (
    <figure class="chart">
      <Chart {...chart} />
      <SaveMenu {...chart} />
      {children}
    </figure>
  );
}

const FORMATS: [Format, string][] = [
  ["svg", "export_svg"],
  ["narrow", "export_narrow"],
  ["wide", "export_wide"],
  ["csv", "export_csv"],
];

// Escape closes it, as a choice does; keys reach it as any button
function SaveMenu({ name, id, label, parts, data, signals, titles }: ChartProps) {
  const menu = useRef<HTMLDetailsElement>(null);
  const close = () => {
    menu.current!.open = false;
    menu.current!.querySelector("summary")!.focus();
  };
  const choose = (format: Format) => {
    close();
    void track(save({ name, id, parts, spec: page.charts[name], data, signals, titles }, format));
  };
  return (
    <details class="save" ref={menu} onKeyDown={(event) => event.key === "Escape" && close()}>
      <summary aria-label={`${words.export}${words.colon}${label}`}>{words.export}</summary>
      <div>
        {FORMATS.map(([format, text]) => (
          <button type="button" data-save={format} onClick={() => choose(format)}>
            {words[text]}
          </button>
        ))}
      </div>
    </details>
  );
}
