// One sample, large, over the page: its image, its answers, and all heads of a layer on it.
import { useLayoutEffect, useRef } from "preact/hooks";
import { Said, SaidByB, inB } from "./answers";
import { Select } from "./controls";
import { headOf, heads, layers, page, samples } from "./data";
import { listed } from "./listing";
import { mean, measureOf, written } from "./measures";
import { Missing } from "./missing";
import { Framed, Picture, Scale, mapAtStep, nameOfMassAt } from "./picture";
import { evidence } from "./pieces";
import { Prompt } from "./prompt";
import { type State, go, state as now } from "./state";
import { hasStepMaps, massAt } from "./texts";
import { knownValues, massOf, nameOfMass, sameShape, shownCell, valuesOfB } from "./values";
import { digits, filled, headName, shortName, words } from "./words";
import { OfStep, Written } from "./written";

const [LARGE, SMALL] = [520, 96]; // pixels, of images
const STEPS: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1 };

export function Drawer({ state }: { state: State }) {
  return state.sample < 0 ? null : <Opened state={state} />;
}

// Whether either model wrote a text
const hasText = (row: number) => Boolean(samples.text?.[row] ?? page.second?.text?.[row]);

const close = () => now().sample >= 0 && go({ sample: -1 });

function Opened({ state }: { state: State }) {
  const dialog = useRef<HTMLDialogElement>(null);
  // A modal dialog keeps the focus in it, and gives it back when it is closed
  useLayoutEffect(() => {
    const own = dialog.current!;
    own.showModal();
    return () => own.close();
  }, []);
  const own = listed(state);
  const rows = own.includes(state.sample) ? own : [...samples.id.keys()];
  const place = rows.indexOf(state.sample);
  const step = (by: number) => rows[place + by] !== undefined && go({ sample: rows[place + by] }, "sample");
  const press = (event: KeyboardEvent) => {
    if (!(event.key in STEPS) || (event.target as Element).closest("select, input")) return;
    event.preventDefault();
    step(STEPS[event.key]);
  };
  const cancel = (event: Event) => {
    event.preventDefault();
    close();
  };
  return (
    <dialog
      ref={dialog}
      class="drawer"
      aria-labelledby="drawer-title"
      onKeyDown={press}
      onCancel={cancel}
      onClick={(event) => event.target === dialog.current && close()}
    >
      <div class="inside">
        <Missing />
        <div class="controls">
          <h2 id="drawer-title" aria-live="polite">
            {filled("sample_of", { place: place + 1, number: rows.length })}
          </h2>
          <button type="button" id="drawer-earlier" disabled={place === 0} onClick={() => step(-1)}>
            {words.previous}
          </button>
          <button type="button" id="drawer-later" disabled={place === rows.length - 1} onClick={() => step(1)}>
            {words.next}
          </button>
          <button type="button" id="drawer-close" onClick={close}>
            {words.close}
          </button>
          <span class="small">{words.drawer_keys}</span>
        </div>
        <div class={`split sides${hasText(state.sample) ? " with-text" : ""}`}>
          <div>
            <div class={page.second ? "both" : ""}>
              <div>
                {page.second && <h3>A</h3>}
                <Picture row={state.sample} cell={state.overlay ? state.cell : null} height={LARGE} step={state.step} />
                {state.step < 0 ? (
                  <p class="small">
                    <OfHead state={state} />
                  </p>
                ) : (
                  <OfStep state={state} run="a" />
                )}
              </div>
              {page.second && <InB state={state} />}
            </div>
            {(page.maps || hasStepMaps(state.sample) || hasStepMaps(state.sample, "b")) && state.overlay && <Scale id="drawer-scale" />}
          </div>
          <div class="text">
            <Said row={state.sample} />
            <Prompt row={state.sample} />
          </div>
          <div class="text">
            <Written state={state} run="a" />
            {page.second && <Written state={state} run="b" />}
          </div>
        </div>
        <Layer state={state} />
      </div>
    </dialog>
  );
}

// What the page knows of the chosen head on this sample
function OfHead({ state }: { state: State }) {
  const measure = measureOf(state.measure);
  const value = knownValues(state.measure, state.cell)(state.sample);
  const on = value === undefined ? words.value_elsewhere : written(measure, value);
  const all = written(measure, mean(state.measure, state.cell, 0));
  return <>{filled("head_on_sample", { head: headName(state.cell), measure: measure.label, value: on, mean: all })}</>;
}

// The head at the same place in B, or where B has other heads one of these, on the same sample
function InB({ state }: { state: State }) {
  const { sample, measure: key, overlay, stepB: step } = state;
  const cell = shownCell(state, "b");
  const measure = measureOf(key);
  const value = valuesOfB(key, cell)?.(sample) ?? NaN;
  const mapped = overlay && mapAtStep(sample, cell, step, "b") !== null;
  const mass = massOf(sample, cell, "b");
  return (
    <div id="drawer-b">
      <h3>B</h3>
      {!inB(sample) ? (
        <p class="small">{words.not_in_b}</p>
      ) : (
        <>
          {mapped && <Picture row={sample} cell={cell} height={LARGE} run="b" step={step} />}
          {step < 0 && state.step >= 0 && <p class="small">{words.prompt_of_b}</p>}
          {overlay && !mapped && step < 0 && (
            <p class="small">
              {words.no_map_in_b}{" "}
              {mass !== undefined &&
                filled("mass_here", { head: shortName(cell, "b"), mass: nameOfMass(), value: digits(mass, 3) })}
            </p>
          )}
          {step < 0 && !Number.isNaN(value) && (
            <p class="small">{filled("value_in_b", { measure: measure.label, value: written(measure, value) })}</p>
          )}
        </>
      )}
      {step >= 0 && <OfStep state={state} run="b" />}
      {inB(sample) && !sameShape() && <HeadOfB state={state} />}
      <SaidByB row={sample} />
    </div>
  );
}

// That heads of B are others, and the choice of one that the page has maps of, or else values
function HeadOfB({ state: { sample, cellB, measure } }: { state: State }) {
  const { layers, heads, values } = page.second!;
  const maps = evidence(sample, "b")?.data.cells ?? [];
  const cells = new Set([...(maps.length ? maps : (values[measure] ?? [])), cellB]);
  return (
    <>
      <p class="small">{filled("other_heads_in_b", { layers: layers.length, heads })}</p>
      <Select
        id="drawer-head-b"
        label="head"
        value={cellB}
        choices={[...cells].sort((one, other) => one - other).map((cell) => [cell, shortName(cell, "b")])}
        onChoose={(cell) => go({ cellB: Number(cell) })}
      />
    </>
  );
}

function Layer({ state }: { state: State }) {
  const layer = Math.floor(state.cell / heads);
  const cells = Array.from({ length: heads }, (_, head) => layer * heads + head);
  const { sample, step } = state;
  const shown = cells.filter((cell) => mapAtStep(sample, cell, step)).length;
  return (
    <>
      <div class="controls">
        <h3>{step < 0 ? words.heads_of_layer : filled("heads_of_layer_at", { step })}</h3>
        <Select
          id="drawer-layer"
          label="layer"
          value={layer}
          choices={layers.map((number, place) => [place, String(number)])}
          onChoose={(value) => go({ cell: Number(value) * heads + headOf(state.cell) })}
        />
      </div>
      {shown < heads && <p class="definition">{filled("maps_of_layer", { shown, number: heads })}</p>}
      <ul class="tiles-of-heads" id="tiles">
        {cells.map((cell) => (
          <Tile key={cell} cell={cell} state={state} />
        ))}
      </ul>
    </>
  );
}

function Tile({ cell, state }: { cell: number; state: State }) {
  const { sample: row, step } = state;
  const mass = step < 0 ? (massOf(row, cell) ?? NaN) : massAt(row, step, cell);
  const name = nameOfMassAt(step);
  const said = Number.isNaN(mass) ? filled("mass_elsewhere", { mass: name }) : `${name} ${digits(mass, 3)}`;
  return (
    <li>
      <button type="button" data-cell={cell} aria-pressed={cell === state.cell} onClick={() => go({ cell })}>
        {mapAtStep(row, cell, step) && <Framed row={row} cell={cell} height={SMALL} alt="" step={step} />}
        <b>{shortName(cell)}</b>
        <span class="small">{said}</span>
      </button>
    </li>
  );
}
