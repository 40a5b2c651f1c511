// Two runs compared: the map of heads of either, on one scale, by the measure and the category that are chosen; answers,
// profiles over depth, and the differences of heads.
import { useMemo } from "preact/hooks";
import { Figure } from "./chart";
import { Select } from "./controls";
import { array, heads, layers, page } from "./data";
import { Define } from "./define";
import { measureOf, ranked, scaleOf } from "./measures";
import { choose } from "./place";
import { Printed } from "./shown";
import { type State, go } from "./state";
import { categoryName, digits, filled, words } from "./words";

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
  const alike = model.name === "a" || (model.heads === heads && String(model.layers) === String(layers));
  const highest = useMemo(() => ranked(values), [values]);
  const place = (cell: number) => ({ layer: model.layers[Math.floor(cell / model.heads)], head: cell % model.heads });
  const data = useMemo(() => {
    const cells = highest.map((cell, order) => ({
      ...place(cell),
      cell,
      shade: values[cell],
      told: 1,
      text: digits(values[cell], 4),
      interval: "–",
      rank: order + 1,
    }));
    return { cells, chosen: alike ? [place(state.cell)] : [] };
  }, [highest, alike && state.cell]);
  const signals = useMemo(() => {
    const { low, high, ticks, labels } = scaleOf(rowOf(`b/${key}/ends`, category, 2), highest.map((cell) => values[cell]));
    return { low, high, ticks, labels, fade: 1 };
  }, [key, category, highest]);
  const named = highest.slice(0, MOST_NAMED).map((cell) => `${nameOf(model, cell)} ${digits(values[cell], 4)}`);
  const caption = [model.name.toUpperCase(), words.comma, words.highest, words.colon, named.join(words.comma)].join("");
  const own = alike && !highest.slice(0, MOST_NAMED).includes(state.cell) ? `${words.semicolon}${nameOf(model, state.cell)} ${digits(values[state.cell], 4)}` : "";
  return (
    <Figure
      id={`map-${model.name}`}
      name={model.name === "a" ? "map" : "map_b"}
      label={caption}
      data={data}
      signals={signals}
      parts={[measureOf(key).name, ...(category ? [categoryName(category)] : [])]}
      onPick={(datum) => alike && choose(datum)}
    >
      <figcaption>{caption + own}</figcaption>
    </Figure>
  );
}

export function Compared({ state }: { state: State }) {
  return (
    page.beside && (
      <>
        <h3>{words.beside}</h3>
        <Beside state={state} other={page.beside} />
        <div class="split even">
          <Answers />
          <Columns state={state} />
        </div>
      </>
    )
  );
}

function Answers() {
  if (!page.charts.answers) return null;
  return (
    <div>
      <h3>{words.answers}</h3>
      <Figure name="answers" label={words.answers} />
      <p class="definition">{words.grey_answers}</p>
    </div>
  );
}

// The charts of one column: the means of layers, and where heads are matched the differences of heads
function Columns({ state: { compared } }: { state: State }) {
  const signals = useMemo(() => ({ flow: compared }), [compared]);
  const chart = (name: string) => <Figure name={name} label={words[name]} signals={signals} parts={[compared]} />;
  return (
    <div>
      <h3>
        {words.profiles}
        <Define name={words.depth} texts={[words.define_depth]} />
      </h3>
      <div class="controls">
        <Select id="compared" label="column" value={compared} choices={page.columns} onChoose={(name) => go({ compared: name })} />
      </div>
      <Printed parts={[["column", Object.fromEntries(page.columns)[compared]]]} />
      {chart("profiles")}
      {page.charts.differences && (
        <>
          <h3>{words.differences}</h3>
          {chart("differences")}
          <p class="definition">{words.grey_differences}</p>
        </>
      )}
    </div>
  );
}

function Beside({ state, other }: { state: State; other: NonNullable<typeof page.beside> }) {
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
