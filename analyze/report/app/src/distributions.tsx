// Distributions of all rows: the columns of a panel, of the run, of a layer or of a category.
import { useMemo } from "preact/hooks";
import { Figure } from "./chart";
import { Select } from "./controls";
import { type Flow, array, categories, layers, page } from "./data";
import { Define } from "./define";
import { Printed } from "./shown";
import { type State, go } from "./state";
import { colour, scheme } from "./theme";
import { words } from "./words";

const BLACK = "#000000"; // drawn in the theme's ink, as it does not show on a dark page

export function Distributions({ state }: { state: State }) {
  const shown = page.flows.map((flow, place) => ({ ...flow, place })).filter((flow) => flow.panel === state.panel);
  const panels = [...new Map(page.flows.map((flow) => [flow.panel, words[`panel_${flow.of}`]]))];
  const groups = [words.whole_run, ...layers.map((layer) => `${words.layer} ${layer}`), ...categories];
  const data = useMemo(() => {
    const made = bars(shown, state.of);
    return { bars: made, steps: steps(made) };
  }, [state.panel, state.of]);
  const signals = useMemo(
    () => ({ top: highestOfKind(shown, state.of) * 1.05, ink: colour("ink") }),
    [state.panel, state.of, scheme()],
  );
  return (
    <>
      <div class="controls">
        <Select
          id="panel"
          label="panel"
          value={state.panel}
          choices={panels}
          onChoose={(value) => go({ panel: Number(value) })}
        />
        <Select
          id="of-what"
          label="of_what"
          value={state.of}
          choices={groups.map((name, place) => [place, name])}
          onChoose={(value) => go({ of: Number(value) })}
        />
      </div>
      <Printed parts={[["panel", words[`panel_${shown[0].of}`]], ["of_what", groups[state.of]]]} />
      <p class="key" id="colours">
        {shown.map((flow) => (
          <>
            <span class="swatch" style={{ background: flow.colour === BLACK ? colour("ink") : flow.colour }} />
            {flow.label}
            <Define name={flow.label} texts={[flow.meaning]} />
          </>
        ))}
      </p>
      <Figure
        name="distribution"
        label={words.distributions}
        parts={[shown.map((flow) => flow.name).join("_"), groups[state.of]]}
        data={data}
        signals={signals}
      />
    </>
  );
}

type Placed = Flow & { place: number };
const edges = () => page.measures[0].edges;

function share(flow: Placed, group: number, bin: number): number {
  return array("shares")[(group * page.flows.length + flow.place) * (edges().length - 1) + bin];
}

function bars(shown: Placed[], group: number) {
  return shown.flatMap((flow) =>
    edges()
      .slice(0, -1)
      .map((left, bin) => ({
        left,
        right: edges()[bin + 1],
        label: flow.label,
        place: flow.place,
        share: share(flow, group, bin),
      })),
  );
}

// Outlines of bars: each goes on from the left end of a bar, and the last one from the right end
function steps(made: ReturnType<typeof bars>) {
  return made.flatMap(({ left, right, label, place, share }, at) => {
    const last = made[at + 1]?.place !== place;
    return [left, ...(last ? [right] : [])].map((x) => ({ x, label, place, share }));
  });
}

// The highest bar of the run, of any layer or of any category, so that two of a kind can be compared
function highestOfKind(shown: Placed[], group: number): number {
  const [first, last] =
    group === 0 ? [0, 0] : group <= layers.length ? [1, layers.length] : [layers.length + 1, layers.length + categories.length];
  let top = 0;
  for (let each = first; each <= last; each++) {
    for (let bin = 0; bin < edges().length - 1; bin++) {
      top = Math.max(top, ...shown.map((flow) => share(flow, each, bin)));
    }
  }
  return top;
}
