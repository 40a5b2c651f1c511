// What the printed page shows, in words, as its menus are not printed.
import { categories, page } from "./data";
import { nameOfAnswer, nameOfSort } from "./listing";
import { measureOf } from "./measures";
import type { State } from "./state";
import { categoryName, headName, words } from "./words";

export function Printed({ parts }: { parts: [name: string, text: string][] }) {
  return <p class="printed shown">{parts.map(([name, text]) => words[name] + words.colon + text).join(words.semicolon)}</p>;
}

export function ShownHeads({ state }: { state: State }) {
  return (
    <Printed
      parts={[
        ["measure", measureOf(state.measure).label],
        ["category", categoryName(state.category)],
        ["colour", words[`by_${state.shade}`]],
        ["head", headName(state.cell)],
      ]}
    />
  );
}

export function ShownSamples({ state }: { state: State }) {
  const pair = state.pair < -1 ? words.any : words[state.pair < 0 ? page.stateless : page.states[state.pair]];
  const parts: [string, string][] = [
    ["category", state.sampleCategory < 0 ? words.all : categories[state.sampleCategory]],
    ...(page.scored
      ? ([
          ["answered", nameOfAnswer(state.answer)],
          [page.opposite ? "state" : "answer", pair],
        ] as [string, string][])
      : []),
    ["sort", nameOfSort(state.sort, state) + (state.sort === "first" ? "" : words.comma + words[state.falling ? "falling" : "rising"])],
  ];
  if (state.search) parts.push(["search", state.search]);
  if (page.maps) parts.push(["overlay", state.overlay ? headName(state.cell) : "–"]);
  return <Printed parts={parts} />;
}
