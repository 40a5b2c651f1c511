// The samples as a table: a line each, sorted by a column whose name is pressed.
import type { ComponentChildren } from "preact";
import { Opener, Right, categoryOf, nameOfSaid, stateOf } from "./answers";
import { column, page, samples } from "./data";
import { canSort, nameOfSort } from "./listing";
import { measureOf, written } from "./measures";
import { type Sort, type State, go } from "./state";
import { knownValues, valuesInB } from "./values";
import { digits, filled, shortName, words } from "./words";

// A text by its name, or what samples are sorted by
type Name = Sort | "answer" | "prediction" | "state" | "prediction-b";
type Cell = (row: number) => ComponentChildren;

const numberOf =
  (name: string): Cell =>
  (row) =>
    digits(column(name)[row], 3);

function columnsOf(state: State, values: (row: number) => number | undefined): [Name, Cell][] {
  const { second } = page;
  const measure = measureOf(state.measure);
  const open: Cell = (row) => <Opener row={row} />;
  const inB = valuesInB(state.measure, state.cell);
  const value: Cell = (row) => written(measure, values(row) ?? NaN);
  const prediction = (texts: (string | null)[], right: (0 | 1 | null)[]): Cell => (row) => (
    <>
      <bdi>{texts[row] ?? "–"}</bdi> <Right right={right[row]} />
    </>
  );
  const all: [Name, Cell][] = [
    ["question", open],
    ["category", categoryOf],
    ["answer", (row) => samples.answer[row] ?? "–"],
    ["prediction", prediction(samples.text ?? samples.prediction, samples.right)],
    ["state", (row) => words[stateOf(row)]],
    ["value", value],
    ["margin", numberOf("margin")],
    ["lead", numberOf("lead")],
    ["p_yes", numberOf("p_yes")],
    ["p_options", numberOf("p_options")],
    ["prediction-b", prediction(second?.text ?? second?.prediction ?? [], second?.right ?? [])],
    ["lead-b", (row) => digits(column("lead", "b")[row], 3)],
    ["value-b", (row) => written(measure, inB?.(row) ?? NaN)],
  ];
  const texts = page.scored ? ["answer", "prediction", "state"] : ["prediction"];
  if (second) texts.push("prediction-b");
  const known = ([name]: [Name, Cell]) => (name in UNSORTED ? texts.includes(name) : canSort(name as Sort, state));
  return all.filter(known);
}

const TEXTS = ["question", "category", "answer", "prediction", "state", "prediction-b"];
const UNSORTED: Partial<Record<Name, () => string>> = {
  answer: () => words.answer,
  prediction: () => words[nameOfSaid()],
  state: () => words[page.opposite ? "state" : "scored"],
  "prediction-b": () => `B${words.colon}${words[nameOfSaid("b")]}`,
};

function Heading({ name, state }: { name: Name; state: State }) {
  const kind = TEXTS.includes(name) ? "text" : "";
  const text = UNSORTED[name];
  if (text) {
    return (
      <th scope="col" class={kind}>
        {text()}
      </th>
    );
  }
  const sort = name as Sort;
  const own = state.sort === sort;
  // First pressed: numbers from the highest, texts from A
  const press = () => go({ sort, falling: own ? !state.falling : kind === "", page: 0 });
  return (
    <th scope="col" class={kind} aria-sort={own ? (state.falling ? "descending" : "ascending") : "none"}>
      <button type="button" class="heading" data-sort={sort} onClick={press}>
        {nameOfSort(sort, state)}
        <span aria-hidden="true">{own ? (state.falling ? " ▼" : " ▲") : ""}</span>
      </button>
    </th>
  );
}

export function SamplesTable({ rows, state }: { rows: number[]; state: State }) {
  const values = knownValues(state.measure, state.cell);
  const columns = columnsOf(state, values);
  const known = [...samples.id.keys()].filter((row) => values(row) !== undefined).length;
  return (
    <>
      {known < samples.id.length && (
        <p class="definition" id="values-known">
          {filled("values_known", { head: shortName(state.cell), known, number: samples.id.length })}
        </p>
      )}
      <div class="wide lines" role="region" tabIndex={0} aria-label={words.samples_title}>
        <table id="lines">
          <thead>
            <tr>
              {columns.map(([name]) => (
                <Heading key={name} name={name} state={state} />
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row} data-sample={samples.id[row]}>
                {columns.map(([name, cell]) => (
                  <td key={name} class={TEXTS.includes(name) ? "text" : ""} data-column={name}>
                    {cell(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
