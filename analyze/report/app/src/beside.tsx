// Two runs compared: the map of heads of either, on one scale, by the measure and the category that are chosen.
import { useMemo } from "preact/hooks";
import { Figure } from "./chart";
import { array, heads, layers, page } from "./data";
import { measureOf } from "./measures";
import { type State, go } from "./state";
import { categoryName, digits, filled, minus, words } from "./words";

const MOST_NAMED = 3;

// A run's heads: the numbers of its layers, and how many heads each has
interface Model {
  name: "a" | "b";
  layers: number[];
  heads: number;
}

function nameOf(model: Model, cell: number): string {
  return `L${model.layers[Math.floor(cell / model.heads)]}H${cell % model.heads}`;
}

const rowOf = (name: string, row: number, size: number) => array(name).subarray(row * size, (row + 1) * size);

function Map({ model, state }: { model: Model; state: State }) {
  const { measure: key, category } = state;
  const means = model.name === "a" ? `${key}/means` : `b/${key}/means`;
  const size = model.layers.length * model.heads;
  const values = useMemo(() => rowOf(means, category, size), [means, category]);
  const [low, high] = rowOf(`b/${key}/ends`, category, 2);
  const alike = model.name === "a" || (model.heads === heads && String(model.layers) === String(layers));
  const ranked = useMemo(() => {
    const known = [...values.keys()].filter((cell) => !Number.isNaN(values[cell]));
    return known.sort((one, other) => values[other] - values[one]);
  }, [values]);
  const place = (cell: number) => ({ layer: model.layers[Math.floor(cell / model.heads)], head: cell % model.heads });
  const data = useMemo(() => {
    const cells = ranked.map((cell, order) => ({
      ...place(cell),
      cell,
      shade: values[cell],
      told: 1,
      text: digits(values[cell], 4),
      interval: "–",
      rank: order + 1,
    }));
    return { cells, chosen: alike ? [place(state.cell)] : [] };
  }, [ranked, alike && state.cell]);
  const signals = useMemo(() => {
    const ticks = [low, (low + high) / 2, high];
    const labels = ticks.map((each) => minus(String(Number(each.toPrecision(4)))));
    const slack = (high - low) * 1e-5; // of float32
    if (ranked.some((cell) => values[cell] < low - slack)) labels[0] = `≤ ${labels[0]}`;
    if (ranked.some((cell) => values[cell] > high + slack)) labels[2] = `≥ ${labels[2]}`;
    return { low, high, ticks, labels, fade: 1 };
  }, [low, high, ranked]);
  const named = ranked.slice(0, MOST_NAMED).map((cell) => `${nameOf(model, cell)} ${digits(values[cell], 4)}`);
  const highest = [model.name.toUpperCase(), words.comma, words.highest, words.colon, named.join(words.comma)].join("");
  const own = alike ? `${words.semicolon}${nameOf(model, state.cell)} ${digits(values[state.cell], 4)}` : "";
  return (
    <Figure
      id={`map-${model.name}`}
      name={model.name === "a" ? "map" : "map_b"}
      label={highest}
      data={data}
      signals={signals}
      onPick={(datum) => alike && datum.cell !== undefined && go({ cell: datum.cell as number })}
    >
      <figcaption>{highest + own}</figcaption>
    </Figure>
  );
}

export function Beside({ state }: { state: State }) {
  const other = page.beside;
  if (!other) return null;
  const { measure: key, category } = state;
  if (!other.measures.includes(key)) return <p id="not-beside">{filled("not_beside", { measure: measureOf(key).label })}</p>;
  const [a, b]: Model[] = [
    { name: "a", layers, heads },
    { name: "b", layers: other.layers, heads: other.heads },
  ];
  return (
    <>
      <p class="definition" id="beside-what">
        {filled("beside_what", { measure: measureOf(key).label, category: categoryName(category) })}
      </p>
      <div class="split even">
        <Map model={a} state={state} />
        <Map model={b} state={state} />
      </div>
    </>
  );
}
