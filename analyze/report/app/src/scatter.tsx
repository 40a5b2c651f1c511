// Heads by any two quantities: each a dot, coloured by its layer. What is dragged over is selected in the map too.
import { useMemo } from "preact/hooks";
import { Figure } from "./chart";
import { Select } from "./controls";
import { array, cells, layerOf, page } from "./data";
import { interval, mean, measureOf } from "./measures";
import { choose } from "./place";
import { Printed } from "./shown";
import { type State, go } from "./state";
import { counted, filled, shortName, words } from "./words";

// The quantities that are shown where none is chosen: what heads look at, and what they are for
const across = (state: State) => state.across || page.measure;
const up = (state: State) => {
  const others = page.measures.filter((each) => each.key !== page.measure);
  const [first] = ["mattering", "contributing", "looking"].flatMap((kind) => others.filter((each) => each.kind === kind));
  return state.up || (first ?? page.measures[0]).key;
};

function titleOf(key: string, state: State): string {
  if (key === "localisation") return words.localising;
  if (key === "reliability") return filled("scatter_sure", { measure: measureOf(state.measure).label });
  return measureOf(key).label;
}

// The value of a head, and its bounds where it has some
function valueOf(key: string, cell: number, state: State): [value: number, low: number, high: number] {
  if (key === "localisation" || key === "reliability") {
    const value = array(key === "localisation" ? key : `${state.measure}/steady`)[cell];
    return [value, value, value];
  }
  return [mean(key, cell, 0), ...interval(measureOf(key), cell)];
}

export function Scatter({ state }: { state: State }) {
  const [x, y] = [across(state), up(state)];
  const titles = { x: titleOf(x, state), y: titleOf(y, state) };
  const points = useMemo(() => {
    const made = [...Array(cells).keys()].map((cell) => {
      const [[own, low_x, high_x], [other, low_y, high_y]] = [x, y].map((key) => valueOf(key, cell, state));
      return { cell, name: shortName(cell), layer: layerOf(cell), x: own, y: other, low_x, high_x, low_y, high_y };
    });
    return made.filter((point) => !Number.isNaN(point.x) && !Number.isNaN(point.y));
  }, [x, y, state.measure]);
  const bars = state.spread ? points.filter((point) => [point.low_x, point.low_y].every((each) => !Number.isNaN(each))) : [];
  const data = useMemo(() => ({ points, bars }), [points, state.spread]);
  const select = ({ x, y }: { x?: [number, number]; y?: [number, number] }) => {
    const inside = (value: number, [low, high]: [number, number]) => value >= Math.min(low, high) && value <= Math.max(low, high);
    const own = x && y ? points.filter((point) => inside(point.x, x) && inside(point.y, y)) : [];
    const selected = own.map((point) => point.name).join(",");
    if (selected !== state.selected) go({ selected }, "brush");
  };
  const choices: [string, string][] = [
    ...page.measures.map((each): [string, string] => [each.key, each.label]),
    ["reliability", titleOf("reliability", state)],
    ...(page.localised ? ([["localisation", words.localising]] as [string, string][]) : []),
  ];
  const number = state.selected ? state.selected.split(",").length : 0;
  return (
    <div id="scatter-part" onKeyDown={(event) => event.key === "Escape" && number > 0 && go({ selected: "" }, "brush")}>
      <h3>{words.scatter}</h3>
      <div class="controls">
        <Select id="across" label="scatter_x" value={x} choices={choices} onChoose={(key) => go({ across: key })} />
        <Select id="up" label="scatter_y" value={y} choices={choices} onChoose={(key) => go({ up: key })} />
        <label class="check">
          <input type="checkbox" id="spread" checked={state.spread} onChange={() => go({ spread: !state.spread })} />{" "}
          {words.scatter_intervals}
        </label>
      </div>
      <Printed parts={[["scatter_x", titles.x], ["scatter_y", titles.y]]} />
      <Figure
        name="scatter"
        label={`${titles.x}${words.comma}${titles.y}`}
        data={data}
        titles={titles}
        parts={[x, y].map((key) => key.replace(/^.*\//, ""))}
        onPick={choose}
        onBrush={select}
      >
        <figcaption>
          {words.scatter_help} {words.sure_help}{" "}
          {page.localised && filled("localising_of", { number: page.localised })}{" "}
          <b id="selected" aria-live="polite">
            {number > 0 && counted("selected", number)}
          </b>
        </figcaption>
      </Figure>
    </div>
  );
}
