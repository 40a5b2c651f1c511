// The text that the model wrote, as tokens shaded by image mass. One of them can be chosen: its step is in the address.
import { useRef } from "preact/hooks";
import { Link, LinksToHeads, Select } from "./controls";
import { page, samples } from "./data";
import { type State, go } from "./state";
import { endOfScale, hasMasses, hasStepMaps, massAt, numberOfHeads, numberOfTexts, shadeOf, tokensOf } from "./texts";
import { clipped, digits, filled, shortName, words } from "./words";

const KEYS: Record<string, (place: number, last: number) => number> = {
  ArrowLeft: (place) => place - 1,
  ArrowRight: (place) => place + 1,
  Home: () => 0,
  End: (_, last) => last,
};
const TICKS = [0, 0.25, 0.5, 0.75, 1];
const LETTERS = 30; // of a token that stands in a sentence

// The head whose mass tokens show; null: the mean over all heads
const shownHead = ({ tokens, cell }: State) => (tokens === "head" && hasMasses(cell) ? cell : null);

// A token as it is named
function nameOfToken(row: number, step: number): string {
  const text = (tokensOf(row)?.[step] ?? "").replaceAll("\n", "↵").trim();
  return clipped(text, LETTERS) || words.special_token;
}

// What the model wrote; nothing in a run without texts
export function Written({ state }: { state: State }) {
  const row = state.sample;
  const text = samples.text?.[row] ?? null;
  if (text === null) return null;
  const pieces = tokensOf(row);
  const rows = page.texts?.rows;
  return (
    <section class="written" aria-labelledby="written-title">
      <h3 id="written-title">{words.wrote}</h3>
      {pieces ? <Tokens pieces={pieces} state={state} /> : <p class="plain-text">{text}</p>}
      {rows && !rows.includes(row) && (
        <p class="small">{filled("no_tokens_here", { shown: rows.length, number: numberOfTexts() })}</p>
      )}
    </section>
  );
}

function Tokens({ pieces, state }: { pieces: string[]; state: State }) {
  const { sample: row, step, cell } = state;
  const place = useRef<HTMLDivElement>(null);
  const { every, cells } = page.texts!;
  const head = shownHead(state);
  const end = endOfScale(head, state.tokenScale === "all");
  const press = (event: KeyboardEvent) => {
    const move = KEYS[event.key];
    const at = [...place.current!.children].indexOf((event.target as Element).closest("button")!);
    if (!move || at < 0) return;
    event.preventDefault();
    event.stopPropagation(); // else it leads to the next sample
    const next = Math.max(0, Math.min(pieces.length - 1, move(at, pieces.length - 1)));
    (place.current!.children[next] as HTMLElement).focus();
    go({ step: next }, "step");
  };
  return (
    <>
      {state.tokens === "head" && head === null && (
        <p class="note" id="no-masses">
          {filled("by_mean_instead", { head: shortName(cell), number: numberOfHeads() })}
          <LinksToHeads cells={cells} />
        </p>
      )}
      <div class="tokens" id="tokens" role="group" aria-labelledby="written-title" ref={place} onKeyDown={press}>
        {pieces.map((_, each) => (
          <Token key={each} step={each} state={state} head={head} end={end} first={each === Math.max(step, 0)} />
        ))}
      </div>
      <p class="small">{filled("ends", { end: words[`ended_${samples.ended?.[row] ?? "stop"}`] })}</p>
      <ScaleOfTokens end={end} />
      <LargestFall row={row} head={head} steps={pieces.length} />
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
      <p class="definition">
        {words.tokens_help}
        {every > 1 && ` ${filled("tokens_every", { every })}`}
      </p>
    </>
  );
}

// The token at which the image mass falls most, from the step before that has a row
function LargestFall({ row, head, steps }: { row: number; head: number | null; steps: number }) {
  const { every } = page.texts!;
  let found: { step: number; before: number; after: number } | null = null;
  for (let step = every; step < steps; step += every) {
    const [before, after] = [step - every, step].map((each) => massAt(row, each, head));
    if (before - after > (found ? found.before - found.after : 0)) found = { step, before, after };
  }
  if (!found) return null;
  const { step, before, after } = found;
  const values = { text: nameOfToken(row, step), step, before: digits(before, 3), after: digits(after, 3) };
  return (
    <p class="small" id="falls-most">
      <Link text={filled("falls_most", values)} onClick={() => go({ step })} />
    </p>
  );
}

interface TokenProps {
  step: number;
  state: State;
  head: number | null;
  end: number;
  first: boolean; // whether Tab reaches it
}

function Token({ step, state: { sample: row, step: chosen }, head, end, first }: TokenProps) {
  const text = tokensOf(row)![step];
  const mass = massAt(row, step, head);
  const known = !Number.isNaN(mass);
  const values = { text: nameOfToken(row, step), step, value: digits(mass, 3) };
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
      onClick={() => go({ step: step === chosen ? -1 : step })}
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
export function OfStep({ state }: { state: State }) {
  const { sample: row, step, cell } = state;
  const head = shownHead(state);
  const mass = massAt(row, step, head);
  const said = head === null ? "step_mean" : "step_mass";
  return (
    <div id="of-step" aria-live="polite">
      <p>
        <b>{filled("step_shown", { step, text: nameOfToken(row, step) })}</b>{" "}
        <button type="button" id="to-prompt" onClick={() => go({ step: -1 })}>
          {words.to_prompt}
        </button>
      </p>
      <p class="small">
        {filled(said, { head: shortName(cell), number: numberOfHeads(), step, value: digits(mass, 3) })}
        {words.stop}
      </p>
      {!Number.isNaN(mass) && <WhyNoMap row={row} cell={cell} />}
    </div>
  );
}

// Why a head has no map at the steps of a sample; nothing where it has them
function WhyNoMap({ row, cell }: { row: number; cell: number }) {
  const { mapped, mapped_there, mapped_rows } = page.texts!;
  if (!mapped_there) {
    return (
      <p class="small" id="no-step-maps">
        {words.no_step_maps}
      </p>
    );
  }
  if (!hasStepMaps(row)) {
    return <p class="small">{filled("no_step_map_here", { shown: mapped_rows.length, number: numberOfTexts() })}</p>;
  }
  if (mapped.includes(cell)) return null;
  return (
    <p class="small">
      {filled("step_map_of_others", { head: shortName(cell) })}
      <LinksToHeads cells={mapped} />
    </p>
  );
}
