// The text that the model wrote, as tokens shaded by image mass. One of them can be chosen: its step is in the address.
import { useRef } from "preact/hooks";
import { Link, LinksToHeads, Select } from "./controls";
import { type Run, page, samples } from "./data";
import { type State, go } from "./state";
import {
  endOfScale, hasMasses, hasStepMaps, massAt, numberOfHeads, numberOfTexts, shadeOf, textsOf, tokensOf,
} from "./texts";
import { shownCell } from "./values";
import { clipped, digits, filled, shortName, words } from "./words";

const KEYS: Record<string, (place: number, last: number) => number> = {
  ArrowLeft: (place) => place - 1,
  ArrowRight: (place) => place + 1,
  Home: () => 0,
  End: (_, last) => last,
};
const TICKS = [0, 0.25, 0.5, 0.75, 1];
const LETTERS = 30; // of a token that stands in a sentence

// A part of the page that is there for either run
interface Of {
  state: State;
  run: Run;
}

// The step that is chosen of a run's text, and the choice of another one
const stepOf = (state: State, run: Run) => (run === "a" ? state.step : state.stepB);
const atStep = (step: number, run: Run): Partial<State> => (run === "a" ? { step } : { stepB: step });

// The id of an element that is there for either run
const idOf = (name: string, run: Run) => (run === "a" ? name : `${name}-b`);

// The head whose mass tokens show; null: the mean over all heads
function shownHead(state: State, run: Run): number | null {
  const cell = shownCell(state, run);
  return state.tokens === "head" && hasMasses(cell, run) ? cell : null;
}

// A token as it is named
function nameOfToken(row: number, step: number, run: Run): string {
  const text = (tokensOf(row, run)?.[step] ?? "").replaceAll("\n", "↵").trim();
  return clipped(text, LETTERS) || words.special_token;
}

// What a model wrote; nothing in a run without texts
export function Written({ state, run }: Of) {
  const row = state.sample;
  const text = (run === "a" ? samples : page.second)?.text?.[row] ?? null;
  if (text === null) return null;
  const pieces = tokensOf(row, run);
  const rows = textsOf(run)?.rows;
  const title = idOf("written-title", run);
  return (
    <section class="written" aria-labelledby={title}>
      <h3 id={title}>
        {page.second && run.toUpperCase() + words.colon}
        {words.wrote}
      </h3>
      {pieces ? <Tokens pieces={pieces} state={state} run={run} /> : <p class="plain-text">{text}</p>}
      {rows && !rows.includes(row) && (
        <p class="small">{filled("no_tokens_here", { shown: rows.length, number: numberOfTexts(run) })}</p>
      )}
    </section>
  );
}

function Tokens({ pieces, state, run }: Of & { pieces: string[] }) {
  const row = state.sample;
  const step = stepOf(state, run);
  const place = useRef<HTMLDivElement>(null);
  const { every, cells } = textsOf(run)!;
  const head = shownHead(state, run);
  const end = endOfScale((each) => shownHead(state, each), state.tokenScale === "all");
  const press = (event: KeyboardEvent) => {
    const move = KEYS[event.key];
    const at = [...place.current!.children].indexOf((event.target as Element).closest("button")!);
    if (!move || at < 0) return;
    event.preventDefault();
    event.stopPropagation(); // else it leads to the next sample
    const next = Math.max(0, Math.min(pieces.length - 1, move(at, pieces.length - 1)));
    (place.current!.children[next] as HTMLElement).focus();
    go(atStep(next, run), "step");
  };
  return (
    <>
      {state.tokens === "head" && head === null && (
        <p class="note" id={idOf("no-masses", run)}>
          {filled("by_mean_instead", { head: shortName(shownCell(state, run), run), number: numberOfHeads(run) })}
          <LinksToHeads cells={cells} run={run} />
        </p>
      )}
      <div
        class="tokens"
        id={idOf("tokens", run)}
        role="group"
        aria-labelledby={idOf("written-title", run)}
        ref={place}
        onKeyDown={press}
      >
        {pieces.map((_, each) => (
          <Token key={each} step={each} state={state} run={run} head={head} end={end} first={each === Math.max(step, 0)} />
        ))}
      </div>
      <p class="small">{filled("ends", { end: words[`ended_${endedOf(row, run)}`] })}</p>
      <LargestFall row={row} head={head} steps={pieces.length} run={run} />
      {run === "a" && <ScaleAndMenus state={state} end={end} />}
      <p class="definition" hidden={run === "b"}>
        {words.tokens_help}
        {every > 1 && ` ${filled("tokens_every", { every })}`}
      </p>
    </>
  );
}

const endedOf = (row: number, run: Run) => (run === "a" ? samples : page.second)?.ended?.[row] ?? "stop";

// The scale of tokens, of either run, and what they show
function ScaleAndMenus({ state, end }: { state: State; end: number }) {
  const { cell } = state;
  return (
    <>
      <ScaleOfTokens end={end} />
      <div class="controls">
        <Select
          id="tokens-by"
          label="tokens_by"
          value={state.tokens}
          choices={[
            ["head", filled("by_head", { head: shortName(cell) })],
            ["mean", filled("by_mean", { number: numberOfHeads() })],
          ]}
          onChoose={(value) => go({ tokens: value as State["tokens"] })}
        />
        <Select
          id="tokens-scale"
          label="scale_ends"
          value={state.tokenScale}
          choices={[
            ["all", words.end_all],
            ["own", words.end_own],
          ]}
          onChoose={(value) => go({ tokenScale: value as State["tokenScale"] })}
        />
      </div>
    </>
  );
}

// The token at which the image mass falls most, from the step before that has a row
function LargestFall({ row, head, steps, run }: { row: number; head: number | null; steps: number; run: Run }) {
  const { every } = textsOf(run)!;
  let found: { step: number; before: number; after: number } | null = null;
  for (let step = every; step < steps; step += every) {
    const [before, after] = [step - every, step].map((each) => massAt(row, each, head, run));
    if (before - after > (found ? found.before - found.after : 0)) found = { step, before, after };
  }
  if (!found) return null;
  const { step, before, after } = found;
  const values = { text: nameOfToken(row, step, run), step, before: digits(before, 3), after: digits(after, 3) };
  return (
    <p class="small" id={idOf("falls-most", run)}>
      <Link text={filled("falls_most", values)} onClick={() => go(atStep(step, run))} />
    </p>
  );
}

interface TokenProps extends Of {
  step: number;
  head: number | null;
  end: number;
  first: boolean; // whether Tab reaches it
}

function Token({ step, state, run, head, end, first }: TokenProps) {
  const { sample: row } = state;
  const chosen = stepOf(state, run);
  const text = tokensOf(row, run)![step];
  const mass = massAt(row, step, head, run);
  const known = !Number.isNaN(mass);
  const values = { text: nameOfToken(row, step, run), step, value: digits(mass, 3) };
  const label = filled(known ? "token_of" : "token_without", values);
  return (
    <button
      type="button"
      class={`token${/^\s/.test(text) ? " apart" : ""}`}
      data-step={step}
      tabIndex={first ? 0 : -1}
      aria-label={label}
      title={label}
      aria-pressed={step === chosen}
      style={known ? shadeOf(mass, end) : {}}
      onClick={() => go(atStep(step === chosen ? -1 : step, run))}
    >
      {text.trim() || (text.includes("\n") ? "↵" : "·")}
    </button>
  );
}

// The colours of tokens, with their numbers
function ScaleOfTokens({ end }: { end: number }) {
  const colours = Array.from({ length: 9 }, (_, place) => shadeOf((end * place) / 8, end).background);
  return (
    <div class="scale" id="scale-of-tokens">
      <span>{words.scale_of_tokens}</span>
      <div class="bar">
        <div class="gradient" style={{ background: `linear-gradient(to right, ${colours.join(", ")})` }} />
        {TICKS.map((share) => (
          <span class="tick" style={{ left: `${100 * share}%` }}>
            {Number((share * end).toPrecision(2))}
          </span>
        ))}
      </div>
    </div>
  );
}

// What is known of the chosen step: its token, the mass, and why it has no map
export function OfStep({ state, run }: Of) {
  const row = state.sample;
  const cell = shownCell(state, run);
  const step = stepOf(state, run);
  const head = shownHead(state, run);
  const mass = massAt(row, step, head, run);
  const said = head === null ? "step_mean" : "step_mass";
  return (
    <div class="of-step" id={idOf("of-step", run)} aria-live="polite">
      <p>
        <b>{filled("step_shown", { step, text: nameOfToken(row, step, run) })}</b>{" "}
        <button type="button" id={idOf("to-prompt", run)} onClick={() => go(atStep(-1, run))}>
          {words.to_prompt}
        </button>
      </p>
      <p class="small">
        {filled(said, { head: shortName(cell, run), number: numberOfHeads(run), step, value: digits(mass, 3) })}
        {words.stop}
      </p>
      {!Number.isNaN(mass) && <WhyNoMap row={row} cell={cell} run={run} />}
    </div>
  );
}

// Why a head has no map at the steps of a sample; nothing where it has them
function WhyNoMap({ row, cell, run }: { row: number; cell: number; run: Run }) {
  const { mapped, mapped_there, mapped_rows } = textsOf(run)!;
  if (!mapped_there) {
    return (
      <p class="small" id={idOf("no-step-maps", run)}>
        {words.no_step_maps}
      </p>
    );
  }
  if (!hasStepMaps(row, run)) {
    return <p class="small">{filled("no_step_map_here", { shown: mapped_rows.length, number: numberOfTexts(run) })}</p>;
  }
  if (mapped.includes(cell)) return null;
  return (
    <p class="small">
      {filled("step_map_of_others", { head: shortName(cell, run) })}
      <LinksToHeads cells={mapped} run={run} />
    </p>
  );
}
