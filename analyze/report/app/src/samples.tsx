// The samples: filters, and those that fit, some at a time.
import { Link, Select } from "./controls";
import { categories, column, page, samples } from "./data";
import { hasMaps } from "./maps";
import { Picture, Scale } from "./picture";
import { ShownSamples } from "./shown";
import { type State, go } from "./state";
import { digits, filled, shortName, words } from "./words";

const SHOWN = 12; // at once

const ANY = { sampleCategory: -1, pair: -2, search: "" };

// Shows a sample among the others, and scrolls to it
export function pointAt(row: number): void {
  go({ ...ANY, marked: row });
  document.querySelector(".card.marked")!.scrollIntoView({ block: "center" });
}

function fitting({ sampleCategory, pair, search }: State): number[] {
  const text = search.trim().toLowerCase();
  const fits = (row: number) =>
    (sampleCategory < 0 || samples.category[row] === sampleCategory) &&
    (pair < -1 || samples.state[row] === pair) &&
    (!text || (samples.question[row] ?? "").toLowerCase().includes(text));
  // Samples with an image come first, so that the few that are in the page are found
  const last = (row: number) => Number(samples.picture[row] === null);
  return [...samples.id.keys()].filter(fits).sort((one, other) => last(one) - last(other) || one - other);
}

export function SamplesList({ state }: { state: State }) {
  const rows = fitting(state);
  const pages = Math.max(1, Math.ceil(rows.length / SHOWN));
  const marked = rows.indexOf(state.marked);
  const shown = marked >= 0 ? Math.floor(marked / SHOWN) : Math.min(state.page, pages - 1);
  const turn = (by: number) => go({ page: shown + by, marked: -1 });
  return (
    <>
      <ShownSamples state={state} />
      <Filters state={state} />
      <p class="definition">{words[page.opposite ? "pairs_help" : "states_help"]}</p>
      {page.maps && <NoMap state={state} />}
      {page.maps && state.overlay && <Scale />}
      <p id="found" aria-live="polite">
        {rows.length ? filled("found", { number: rows.length }) : words.none_found}
      </p>
      <ul class="cards" id="cards">
        {rows.slice(shown * SHOWN, (shown + 1) * SHOWN).map((row) => (
          <Card key={row} row={row} state={state} />
        ))}
      </ul>
      <nav class="pages" aria-label={words.samples_title}>
        <button type="button" id="earlier" disabled={shown === 0} onClick={() => turn(-1)}>
          {words.earlier}
        </button>{" "}
        <span id="page">{filled("page", { page: shown + 1, pages })}</span>{" "}
        <button type="button" id="later" disabled={shown >= pages - 1} onClick={() => turn(1)}>
          {words.later}
        </button>
      </nav>
    </>
  );
}

function Filters({ state }: { state: State }) {
  const filter = (change: Partial<State>) => go({ ...change, page: 0, marked: -1 }, "search" in change ? "search" : "");
  return (
    <div class="controls">
      <Select
        id="sample-category"
        label="category"
        value={state.sampleCategory}
        choices={[[-1, words.all], ...categories.map((name, place): [number, string] => [place, name])]}
        onChoose={(value) => filter({ sampleCategory: Number(value) })}
      />
      <Select
        id="sample-state"
        label={page.opposite ? "state" : "answer"}
        value={state.pair}
        choices={[
          [-2, words.any],
          ...page.states.map((name, place): [number, string] => [place, words[name]]),
          [-1, words[page.stateless]],
        ]}
        onChoose={(value) => filter({ pair: Number(value) })}
      />
      <label for="search">
        {words.search}{" "}
        <input
          type="search"
          id="search"
          value={state.search}
          onInput={(event) => filter({ search: event.currentTarget.value })}
        />
      </label>
      {page.maps && (
        <label class="check">
          <input
            type="checkbox"
            id="overlay"
            checked={state.overlay}
            onChange={(event) => go({ overlay: event.currentTarget.checked })}
          />{" "}
          {words.overlay}
          {words.colon}
          <b id="overlay-head">{shortName(state.cell)}</b>
        </label>
      )}
    </div>
  );
}

// That the chosen head has no maps in the page, and which heads have
function NoMap({ state }: { state: State }) {
  return (
    <p class="note" id="no-map" hidden={!state.overlay || hasMaps(state.cell)}>
      {words.no_map}
      {page.maps!.cells.map((cell) => (
        <>
          <Link text={shortName(cell)} onClick={() => go({ cell })} />{" "}
        </>
      ))}
    </p>
  );
}

function Card({ row, state }: { row: number; state: State }) {
  const category = categories[samples.category[row]];
  const pair = samples.state[row] < 0 ? page.stateless : page.states[samples.state[row]];
  const right = samples.right[row];
  const numbers = Object.entries(page.numbers).map(([name, text]) => `${words[text]} ${digits(column(name)[row], 3)}`);
  return (
    <li
      class={row === state.marked ? "card marked" : "card"}
      data-sample={samples.id[row]}
      data-category={category}
      data-state={pair}
    >
      <Picture row={row} cell={state.overlay ? state.cell : null} />
      <div class="text">
        <p class="question">{samples.question[row] ?? "–"}</p>
        <p>
          {words.answer}
          {words.colon}
          <bdi>{samples.answer[row] ?? "–"}</bdi>
          {` · ${words.prediction}${words.colon}`}
          <bdi>{samples.prediction[row] ?? "–"}</bdi>
        </p>
        <p class="numbers-of-sample">{numbers.join(" · ")}</p>
        <p>
          {right !== null && <span class={`tag ${right ? "right" : "wrong"}`}>{right ? words.right : words.wrong}</span>}
          {pair !== "right" && <span class="tag">{words[pair]}</span>}
        </p>
        <p class="small">
          <bdi>{category}</bdi> · <bdi>{samples.id[row]}</bdi>
        </p>
      </div>
    </li>
  );
}
