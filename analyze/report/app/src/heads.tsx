// The heads: their map, the highest and the lowest of them, and the one that is chosen.
import { useMemo } from "preact/hooks";
import { Opener } from "./answers";
import { Figure } from "./chart";
import { Select, WithHeads } from "./controls";
import { type Kind, type Measure, array, categories, cells, headOf, heads, layerOf, layers, page, samples } from "./data";
import { Define } from "./define";
import {
  type Scale, clear, dotted, firstOfKind, interval, mean, measureOf, ofKind, order, scaleOf, written, writtenInterval,
} from "./measures";
import { choose } from "./place";
import { Scatter } from "./scatter";
import { ShownHeads } from "./shown";
import { type State, go } from "./state";
import { colour, grey, scheme } from "./theme";
import { categoryName, digits, filled, headName, shortName, words } from "./words";

const MOST_NAMED = 10; // heads named as the highest, or the lowest
const PALE = 0.35; // opacity of a map whose order may be noise
const STEPS: Record<string, [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

// A heading of what is of all categories together where one is chosen; and of what is of the chosen one
const overAll = (text: string, category: number) => (category ? filled("of_all_categories", { text }) : text);
const here = (text: string, category: number) => (category ? text + words.colon + categoryName(category) : text);

export function Heads({ state }: { state: State }) {
  const measure = measureOf(state.measure);
  const highest = useMemo(() => order(state.measure, state.category), [state.measure, state.category]);
  return (
    <>
      <ShownHeads state={state} />
      <Controls state={state} measure={measure} />
      <p class="definition" id="definition">
        {words[`define_${measure.kind}`]}
      </p>
      <Whose measure={measure} />
      {!ofKind("contributing").length && <p class="definition">{words.missing_contributing}</p>}
      {!ofKind("mattering").length && <p class="definition">{words.missing_mattering}</p>}
      <div class="split">
        <div>
          <HeadMap state={state} measure={measure} highest={highest} />
          <Dots state={state} measure={measure} />
          <h3>{here(words.highest, state.category)}</h3>
          <Chips id="highest" state={state} measure={measure} named={highest.slice(0, MOST_NAMED)} />
          <div id="lowest-heads" hidden={!measure.signed}>
            <h3>{here(words.lowest, state.category)}</h3>
            <Chips id="lowest" state={state} measure={measure} named={highest.slice(MOST_NAMED).slice(-MOST_NAMED).reverse()} />
          </div>
          <h3>
            {overAll(words.top, state.category)}
            {words.colon}
            <span class="head-name">{shortName(state.cell)}</span>
          </h3>
          <TopSamples cell={state.cell} measure={measure} />
        </div>
        <Chosen state={state} measure={measure} />
      </div>
      <Scatter state={state} />
    </>
  );
}

// That the maps on images are of other tokens' attention than the measure
function Whose({ measure }: { measure: Measure }) {
  const own = measure.queries || "all";
  if (!page.maps || own === page.maps.of) return null;
  return (
    <p class="note" id="whose">
      {filled("whose", { maps: words[`of_${page.maps.of}`], measure: words[`of_${own}`] })}
    </p>
  );
}

function Controls({ state, measure }: { state: State; measure: Measure }) {
  const tab = (kind: Kind) => {
    const there = ofKind(kind).length > 0;
    const show = () => kind !== measure.kind && go({ measure: firstOfKind(kind).key });
    return (
      <button
        type="button"
        data-kind={kind}
        aria-pressed={kind === measure.kind}
        disabled={!there}
        title={there ? undefined : words.not_in_run}
        onClick={show}
      >
        {words[kind]}
      </button>
    );
  };
  return (
    <div class="controls">
      <div class="tabs" role="group" aria-label={words.measure}>
        {page.kinds.map(tab)}
      </div>
      <Select
        id="measure"
        label="measure"
        value={state.measure}
        choices={ofKind(measure.kind).map((each) => [each.key, each.label])}
        onChoose={(key) => go({ measure: key })}
      />
      <Define name={measure.label} texts={[measure.meaning]} />
      <Select
        id="category"
        label="category"
        value={state.category}
        choices={[words.all, ...categories].map((name, place) => [place, name])}
        onChoose={(value) => go({ category: Number(value) })}
      />
      <Select
        id="shade"
        label="colour"
        value={state.shade}
        choices={[
          ["value", words.by_value],
          ["rank", words.by_rank],
        ]}
        onChoose={(value) => go({ shade: value as State["shade"] })}
      />
      {state.shade === "value" && categories.length > 1 && (
        <Select
          id="scale"
          label="scale"
          value={state.scale}
          choices={[
            ["shared", words.scale_shared],
            ["own", words.scale_own],
          ]}
          onChoose={(value) => go({ scale: value as State["scale"] })}
        />
      )}
    </div>
  );
}

// The map of heads

interface Shading extends Scale {
  shade: (cell: number, place: number) => number;
}

// The ends of the colours are in the page
function byValue({ key }: Measure, category: number, highest: number[], scale: State["scale"]): Shading {
  const row = scale === "own" ? category + 1 : 0; // the first is that of all categories together
  const value = (cell: number) => mean(key, cell, category);
  return { ...scaleOf(array(`${key}/ends`).subarray(2 * row, 2 * row + 2), highest.map(value)), shade: value };
}

function byRank({ key, signed }: Measure, category: number, highest: number[]): Shading {
  const last = highest.length;
  const middle = highest.findIndex((cell) => mean(key, cell, category) < 0);
  const labels = [`${words.rank} ${last}`, `${words.rank} 1`];
  if (!signed) {
    return { low: -last, high: -1, ticks: [-last, -1], labels, beyond: 0, shade: (_, place) => -1 - place };
  }
  const positive = middle < 0 ? last : middle; // above 0: positive, positive - 1 ... 1; below: -1, -2 ...
  const high = Math.max(positive, last - positive, 1);
  const shade = (_: number, place: number) => positive - place - (place >= positive ? 1 : 0);
  return { low: -high, high, ticks: [positive - last, positive], labels, beyond: 0, shade };
}

// Where a key leads from a head: to the next one, to either end of its layer, or with Ctrl of all layers
function placeAfter({ key, ctrlKey }: KeyboardEvent, layer: number, head: number): [number, number] | null {
  if (key === "Home") return [ctrlKey ? 0 : layer, 0];
  if (key === "End") return [ctrlKey ? layers.length - 1 : layer, heads - 1];
  const step = STEPS[key];
  return step ? [layer + step[0], head + step[1]] : null;
}

function HeadMap({ state, measure, highest }: { state: State; measure: Measure; highest: number[] }) {
  const { category, cell: chosen, shade, scale } = state;
  const value = (cell: number) => written(measure, mean(measure.key, cell, category));
  const shading = useMemo(
    () => (shade === "value" ? byValue : byRank)(measure, category, highest, scale),
    [measure, category, shade, scale],
  );
  const rows = useMemo(() => {
    const made = highest.map((cell, place) => ({
      cell,
      layer: layerOf(cell),
      head: headOf(cell),
      shade: shading.shade(cell, place),
      told: category > 0 || clear(measure, cell),
      value: mean(measure.key, cell, category),
      text: value(cell),
      interval: category ? "–" : writtenInterval(measure, interval(measure, cell)),
      rank: place + 1,
    }));
    return made.sort((one, other) => one.cell - other.cell);
  }, [shading]);
  const picked = useMemo(() => {
    const names = state.selected.split(",");
    return rows.filter((row) => names.includes(shortName(row.cell))).map(({ layer, head }) => ({ layer, head }));
  }, [rows, state.selected]);
  const data = useMemo(
    () => ({ cells: rows, chosen: [{ layer: layerOf(chosen), head: headOf(chosen) }], picked }),
    [rows, chosen, picked],
  );
  const signals = useMemo(() => {
    const { low, high, ticks, labels } = shading;
    return { low, high, ticks, labels, grey: grey(), fade: category === 0 && measure.sure.pale ? PALE : 1 };
  }, [shading, scheme()]);
  const first = highest.slice(0, 3).map((cell) => `${headName(cell)} ${value(cell)}`);
  const label = [measure.label, words.comma, categoryName(category), words.stop, words.highest, words.colon];
  const step = (event: KeyboardEvent) => {
    const place = placeAfter(event, Math.floor(chosen / heads), chosen % heads);
    if (!place) return;
    event.preventDefault();
    const [layer, head] = place;
    if (layer >= 0 && layer < layers.length && head >= 0 && head < heads) {
      go({ cell: layer * heads + head }, "arrow");
    }
  };
  return (
    <Figure
      id="map"
      parts={[measure.name, ...(category ? [categoryName(category)] : [])]}
      name={measure.signed ? "map_signed" : "map"}
      label={label.join("") + first.join(words.semicolon)}
      data={data}
      signals={signals}
      onPick={choose}
      plot={{ tabIndex: 0, "aria-describedby": "keys-help", onKeyDown: step }}
    >
      <figcaption>
        <span id="keys-help">{words.keys_help}</span> <span id="beyond">
          {shading.beyond > 0 && filled("beyond", { number: shading.beyond, of: highest.length })}
        </span>
        {measure.signed && category > 0 && <p id="untested">{words.untested_category}</p>}
        {measure.signed && category === 0 && (
          <p id="grey-note">
            <span class="swatch" style={{ background: grey() }} />
            {words.grey_heads} <span id="told">{measure.sure.told}</span>
          </p>
        )}
        {category === 0 && measure.sure.order && (
          <p class="note" id="order-note">
            {measure.sure.order}
          </p>
        )}
      </figcaption>
    </Figure>
  );
}

function Dots({ state, measure }: { state: State; measure: Measure }) {
  const data = useMemo(() => {
    const dots = dotted(measure).map((cell, order) => {
      const [low, high] = interval(measure, cell);
      const [lowest, highest] = interval(measure, cell, true);
      return {
        order,
        cell,
        name: shortName(cell),
        value: mean(measure.key, cell, 0),
        low,
        high,
        lowest,
        highest,
        told: clear(measure, cell),
        text: written(measure, mean(measure.key, cell, 0)),
        interval: writtenInterval(measure, [low, high]),
        corrected: writtenInterval(measure, [lowest, highest]),
      };
    });
    return { dots };
  }, [measure]);
  const signals = useMemo(
    () => ({ grey: grey(), accent: colour("accent"), picked: state.cell }),
    [state.cell, scheme()],
  );
  const title = overAll(words[measure.signed ? "surest" : "highest"], state.category);
  return (
    <>
      <h3>{title}</h3>
      {measure.sure.lead.map((line) => (
        <p class="definition lead-note">
          <WithHeads text={line} measure={measure.key} />
        </p>
      ))}
      <Figure
        id="dots"
        parts={[measure.name]}
        name={measure.signed ? "dots_signed" : "dots"}
        label={title}
        data={data}
        signals={signals}
        onPick={choose}
      >
        <figcaption>{words.dots_help}</figcaption>
      </Figure>
    </>
  );
}

function Chips({ id, state, measure, named }: { id: string; state: State; measure: Measure; named: number[] }) {
  return (
    <div class="chips" id={id}>
      {named.map((cell) => (
        <button
          key={cell}
          type="button"
          data-cell={cell}
          aria-pressed={cell === state.cell}
          onClick={({ detail }) => (detail ? choose({ cell }) : go({ cell }))}
        >
          {`${shortName(cell)}  ${written(measure, mean(measure.key, cell, state.category))}`}
        </button>
      ))}
    </div>
  );
}

// The chosen head

function TopSamples({ cell, measure }: { cell: number; measure: Measure }) {
  const { key, kept } = measure;
  const places = [...Array(kept).keys()].map((each) => cell * kept + each);
  const top = array(`${key}/top`);
  const values = array(`${key}/values`);
  return (
    <ol class="top" id="top">
      {places
        .filter((place) => top[place] > 0)
        .map((place) => {
          const row = top[place] - 1;
          return (
            <li key={row} data-sample={samples.id[row]}>
              <b>{written(measure, values[place])}</b>{" "}
              <Opener row={row} />
              <span class="small"> {categories[samples.category[row]]}</span>
            </li>
          );
        })}
    </ol>
  );
}

// Leads to the wrong answers, with the maps of the chosen head
function WrongSamples({ cell }: { cell: number }) {
  const number = samples.right.filter((right) => right === 0).length;
  if (!number) return null;
  const address = `#answer=wrong&samples-of=&state=&search=&page=1&sort=first&maps=yes&at=samples${page.images ? "&view=cards" : ""}`;
  return (
    <p class="small" id="wrong-samples">
      <a href={address}>{filled("wrong_samples", { head: shortName(cell), number })}</a>
    </p>
  );
}

function Chosen({ state, measure }: { state: State; measure: Measure }) {
  return (
    <div class="detail" id="detail">
      <h3 id="head-name" aria-live="polite">
        {headName(state.cell)}
      </h3>
      <p class="definition" id="measure-name">
        {measure.label}
      </p>
      <Numbers state={state} measure={measure} />
      {page.maps && <WrongSamples cell={state.cell} />}
      <h4>{overAll(words.histogram, state.category)}</h4>
      <p class="key">
        <span class="swatch own" />
        {words.this_head} <span class="swatch quiet" />
        {words.all_heads}{" "}
        <span id="signed-note" hidden={!measure.signed}>
          {words.histogram_signed}
        </span>
      </p>
      <Histogram cell={state.cell} measure={measure} />
      <h4>{words.profile}</h4>
      <Profile cell={state.cell} measure={measure} />
    </div>
  );
}

function Numbers({ state, measure }: { state: State; measure: Measure }) {
  const { cell, category } = state;
  const { key, reliability } = measure;
  const number = (value: number) => written(measure, value);
  const inCategory = () => filled("in_category", { value: number(mean(key, cell, category)), category: categoryName(category) });
  const halves = [0, 1].map((half) => array(`${key}/halves`)[half * cells + cell]);
  const rows: [name: string, id: string, text: string][] = [
    ["mean_all", "mean", number(mean(key, cell, 0))],
    ["interval", "interval", writtenInterval(measure, interval(measure, cell))],
    ["interval_corrected", "corrected", writtenInterval(measure, interval(measure, cell, true))],
  ];
  if (category) rows.push(["mean_here", "here", inCategory()]);
  rows.push(["rank", "rank", overAll(filled("rank_of", { rank: array(`${key}/ranks`)[cell], number: cells }), category)]);
  if (halves.every(Boolean)) rows.push(["rank_halves", "halves", halves.join(" · ")]);
  rows.push(["reliability", "reliability", digits(reliability, 3)]);
  const meanings: Record<string, string[]> = {
    mean: [measure.meaning, words[`define_${measure.kind}`]],
    interval: [words.define_interval],
    halves: [words.define_halves],
    reliability: [words.define_reliability],
  };
  return (
    <dl class="numbers" id="numbers">
      {rows.map(([name, id, text]) => (
        <>
          <dt>
            {words[name]}
            {id in meanings && <Define name={words[name]} texts={meanings[id]} />}
          </dt>
          <dd data-number={id}>{text}</dd>
        </>
      ))}
    </dl>
  );
}

function Histogram({ cell, measure }: { cell: number; measure: Measure }) {
  const data = useMemo(() => {
    const bins = array(`${measure.key}/bins`);
    const size = measure.edges.length - 1;
    const shares = (first: number, last: number) => {
      const counts: number[] = Array(size).fill(0);
      for (let place = first * size; place < last * size; place++) counts[place % size] += bins[place];
      const total = counts.reduce((sum, count) => sum + count, 0) || 1;
      return counts.map((count, place) => ({
        left: measure.edges[place],
        right: measure.edges[place + 1],
        place: measure.positions[place],
        place_end: measure.positions[place + 1],
        share: count / total,
      }));
    };
    return { all: shares(0, cells), own: shares(cell, cell + 1) };
  }, [cell, measure]);
  const signals = useMemo(() => {
    const [ticks, labels] = [0, 1].map((part) => measure.ticks.map((tick) => tick[part]));
    return { ticks, labels };
  }, [measure]);
  return <Figure name="histogram" parts={[measure.name, shortName(cell)]} label={words.histogram} data={data} signals={signals} />;
}

function Profile({ cell, measure }: { cell: number; measure: Measure }) {
  const rows = useMemo(() => {
    const means = array(`${measure.key}/means`);
    return categories.map((category, place) => {
      const own = [...means.subarray((place + 1) * cells, (place + 2) * cells)];
      const known = own.filter((value) => !Number.isNaN(value));
      const all = known.reduce((sum, value) => sum + value, 0) / known.length;
      return { category, value: own[cell], all, text: written(measure, own[cell]), all_text: written(measure, all) };
    });
  }, [cell, measure]);
  const data = useMemo(() => ({ profile: rows.filter((row) => !Number.isNaN(row.value)) }), [rows]);
  return (
    <>
      <Figure name="profile" parts={[measure.name, shortName(cell)]} label={words.profile} data={data} />
      <details>
        <summary>{words.table}</summary>
        <div class="wide">
          <table>
            <thead>
              <tr>
                {["category", "this_head", "all_heads"].map((name) => (
                  <th scope="col">{words[name]}</th>
                ))}
              </tr>
            </thead>
            <tbody id="profile-table">
              {rows.map((row) => (
                <tr data-category={row.category}>
                  <th scope="row">{row.category}</th>
                  <td>{row.text}</td>
                  <td>{row.all_text}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </>
  );
}
