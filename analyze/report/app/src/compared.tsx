// Two runs compared: the map of heads of either, on one scale, by the chosen measure and category; answers, profiles over
// depth, and the differences of heads.
import { useMemo } from "preact/hooks";
import { Figure } from "./chart";
import { Select } from "./controls";
import { array, heads, layers, page } from "./data";
import { Define } from "./define";
import { measureOf, ranked, scaleOf, written } from "./measures";
import { choose } from "./place";
import { Printed } from "./shown";
import { type State, go } from "./state";
import { shownCell, sameShape } from "./values";
import { categoryName, filled, words } from "./words";

const MOST_NAMED = 3;

// A run's heads: the numbers of its layers, and how many heads each has
interface Model {
  name: "a" | "b";
  layers: number[];
  heads: number;
}

function placeOf(model: Model, cell: number): { layer: number; head: number } {
  return { layer: model.layers[Math.floor(cell / model.heads)], head: cell % model.heads };
}

const rowOf = (name: string, row: number, size: number) => array(name).subarray(row * size, (row + 1) * size);

function MapOfRun({ model, state }: { model: Model; state: State }) {
  const { measure: key, category } = state;
  const measure = measureOf(key);
  const means = model.name === "a" ? `${key}/means` : `b/${key}/means`;
  const size = model.layers.length * model.heads;
  const values = useMemo(() => rowOf(means, category, size), [means, category]);
  const alike = model.name === "a" || sameShape();
  const own = shownCell(state, model.name);
  const highest = useMemo(() => ranked(values), [values]);
  const data = useMemo(() => {
    const cells = highest.map((cell, order) => ({
      ...placeOf(model, cell),
      cell,
      shade: values[cell],
      told: 1,
      text: written(measure, values[cell]),
      interval: "–",
      rank: order + 1,
    }));
    return { cells, chosen: [placeOf(model, own)] };
  }, [highest, own]);
  const signals = useMemo(() => {
    const shown = highest.map((cell) => values[cell]);
    const { low, high, ticks, labels } = scaleOf(rowOf(`b/${key}/ends`, category, 2), shown);
    return { low, high, ticks, labels, fade: 1 };
  }, [key, category, highest]);
  const said = (cell: number) => {
    const { layer, head } = placeOf(model, cell);
    return `L${layer}H${head} ${written(measure, values[cell])}`;
  };
  const named = highest.slice(0, MOST_NAMED);
  const list = named.map(said).join(words.comma);
  const caption = [model.name.toUpperCase(), words.comma, words.highest, words.colon, list].join("");
  const also = named.includes(own) ? "" : words.semicolon + said(own);
  return (
    <Figure
      id={`map-${model.name}`}
      name={model.name === "a" ? "map" : "map_b"}
      label={caption}
      data={data}
      signals={signals}
      parts={[measure.name, ...(category ? [categoryName(category)] : [])]}
      onPick={(datum) => (alike ? choose(datum) : go({ cellB: datum.cell as number }))}
    >
      <figcaption>{caption + also}</figcaption>
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
        <Select
          id="compared"
          label="column"
          value={compared}
          choices={page.columns}
          onChoose={(name) => go({ compared: name })}
        />
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
  const { label: measure } = measureOf(key);
  if (!other.measures.includes(key)) return <p id="not-beside">{filled("not_beside", { measure })}</p>;
  const [a, b]: Model[] = [
    { name: "a", layers, heads },
    { name: "b", layers: other.layers, heads: other.heads },
  ];
  return (
    <>
      <p class="definition" id="beside-what">
        {filled("beside_what", { measure, category: categoryName(category) })}
      </p>
      <div class="split even">
        <MapOfRun model={a} state={state} />
        <MapOfRun model={b} state={state} />
      </div>
    </>
  );
}
