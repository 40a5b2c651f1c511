// The samples: filters, and those that fit, some at a time, as cards or as a table.
import { Said, categoryOf, stateOf } from "./answers";
import { LinksToHeads, Select } from "./controls";
import { categories, page, samples } from "./data";
import { canSort, listed, nameOfAnswer, nameOfSort } from "./listing";
import { hasMaps } from "./maps";
import { Picture, Scale } from "./picture";
import { ShownSamples } from "./shown";
import { ANSWERS, SORTS, type Sort, type State, go } from "./state";
import { SamplesTable } from "./table";
import { counted, filled, shortName, words } from "./words";

const SHOWN = { cards: 12, table: 25 }; // at once

export function SamplesList({ state }: { state: State }) {
  const rows = listed(state);
  const size = SHOWN[state.view];
  const pages = Math.max(1, Math.ceil(rows.length / size));
  const shown = Math.min(state.page, pages - 1);
  const own = rows.slice(shown * size, (shown + 1) * size);
  return (
    <>
      <ShownSamples state={state} />
      <Filters state={state} />
      {page.scored && <p class="definition">{words[page.opposite ? "pairs_help" : "states_help"]}</p>}
      {page.maps && <NoMap state={state} />}
      {page.maps && state.overlay && <Scale id="scale" />}
      <p id="found" aria-live="polite">
        {rows.length ? counted("found", rows.length) : words.none_found}
      </p>
      {state.view === "table" ? (
        <SamplesTable rows={own} state={state} />
      ) : (
        <ul class="cards" id="cards" tabIndex={0} aria-label={words.samples_title}>
          {own.map((row) => (
            <Card key={row} row={row} state={state} />
          ))}
        </ul>
      )}
      <nav class="pages" aria-label={words.samples_title}>
        <button type="button" id="earlier" disabled={shown === 0} onClick={() => go({ page: shown - 1 })}>
          {words.earlier}
        </button>{" "}
        <span id="page">{filled("page", { page: shown + 1, pages })}</span>{" "}
        <button type="button" id="later" disabled={shown >= pages - 1} onClick={() => go({ page: shown + 1 })}>
          {words.later}
        </button>
      </nav>
    </>
  );
}

function Filters({ state }: { state: State }) {
  const filter = (change: Partial<State>) => go({ ...change, page: 0 }, "search" in change ? "search" : "");
  return (
    <div class="controls">
      <Select
        id="sample-category"
        label="category"
        value={state.sampleCategory}
        choices={[[-1, words.all], ...categories.map((name, place): [number, string] => [place, name])]}
        onChoose={(value) => filter({ sampleCategory: Number(value) })}
      />
      {page.scored && <Answered state={state} filter={filter} />}
      <label for="search">
        {words.search}{" "}
        <input
          type="search"
          id="search"
          value={state.search}
          onInput={(event) => filter({ search: event.currentTarget.value })}
        />
      </label>
      <SortedBy state={state} />
      <Select
        id="view"
        label="view"
        value={state.view}
        choices={[
          ["cards", words.view_cards],
          ["table", words.view_table],
        ]}
        onChoose={(value) => go({ view: value as State["view"], page: 0 })}
      />
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

function Answered({ state, filter }: { state: State; filter: (change: Partial<State>) => void }) {
  return (
    <>
      <Select
        id="sample-answer"
        label="answered"
        value={state.answer}
        choices={ANSWERS.slice(0, page.second ? undefined : 3).map((name) => [name, nameOfAnswer(name)])}
        onChoose={(value) => filter({ answer: value as State["answer"] })}
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
    </>
  );
}

function SortedBy({ state }: { state: State }) {
  return (
    <span class="sorted">
      <Select
        id="sort"
        label="sort"
        value={state.sort}
        choices={SORTS.filter((name) => canSort(name, state)).map((name) => [name, nameOfSort(name, state)])}
        onChoose={(value) => go({ sort: value as Sort, falling: value === "value", page: 0 })}
      />{" "}
      <button
        type="button"
        id="falling"
        aria-pressed={state.falling}
        disabled={state.sort === "first"}
        onClick={() => go({ falling: !state.falling, page: 0 })}
      >
        {words[state.falling ? "falling" : "rising"]}
      </button>
    </span>
  );
}

// That the chosen head has no maps in the page, and which heads have
function NoMap({ state }: { state: State }) {
  return (
    <p class="note" id="no-map" hidden={!state.overlay || hasMaps(state.cell)}>
      {words.no_map}
      <LinksToHeads cells={page.maps!.cells} />
    </p>
  );
}

function Card({ row, state }: { row: number; state: State }) {
  return (
    <li class="card" data-sample={samples.id[row]} data-category={categoryOf(row)} data-state={stateOf(row)}>
      <Picture row={row} cell={state.overlay ? state.cell : null} />
      <div class="text">
        <Said row={row} onOpen={() => go({ sample: row })} />
      </div>
    </li>
  );
}
