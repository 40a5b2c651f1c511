// Draws the parts of the page that change into their places in the template, again at each change of the state.
import { type ComponentType, render } from "preact";
import { Figure, drawn } from "./chart";
import { load } from "./data";
import { Distributions } from "./distributions";
import { Heads } from "./heads";
import { SamplesList } from "./samples";
import { type State, begin, go, state } from "./state";
import { applyTheme, scheme } from "./theme";

const PARTS: Record<string, ComponentType<{ state: State }>> = {
  "heads-part": Heads,
  "distributions-part": Distributions,
  "samples-part": SamplesList,
};

function draw(): void {
  applyTheme(state().theme);
  for (const [id, Part] of Object.entries(PARTS)) render(<Part state={state()} />, document.getElementById(id)!);
  // Charts whose data are in them
  for (const place of document.querySelectorAll<HTMLElement>("[data-chart]")) {
    render(<Figure name={place.dataset.chart!} label={place.dataset.label!} />, place);
  }
}

async function main(): Promise<void> {
  await load();
  begin(draw);
  document.getElementById("theme")!.onclick = () => go({ theme: scheme() === "dark" ? "light" : "dark" });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
  await drawn();
  document.documentElement.dataset.ready = "yes";
}

void main();
