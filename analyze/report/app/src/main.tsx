// Draws the parts of the page that change into their places in the template, again at each change of the state.
//
// Why components and a build: the same page by hand was 350 lines (21 kB, of lines up to 250 letters) in one scope, with
// every choice kept in the elements that show it; as components it was 1,070 short ones (51 kB as built, 15 kB packed;
// Preact is 13 kB), checked against the types of what Python writes, and drawn as soon (1.27 s against 1.37 s).
import { type ComponentType, render } from "preact";
import { Address, CopyLink } from "./address";
import { Figure, drawn } from "./chart";
import { Compared } from "./compared";
import { Distributions } from "./distributions";
import { Drawer } from "./drawer";
import { Heads } from "./heads";
import { Missing } from "./missing";
import { loadPieces } from "./pieces";
import { land, markPlace, watchPlace } from "./place";
import { markRegions, watchRegions } from "./overflow";
import { SamplesList } from "./samples";
import { type State, begin, go, state } from "./state";
import { applyTheme, scheme } from "./theme";

const PARTS: Record<string, ComponentType<{ state: State }>> = {
  "missing-part": Missing,
  "address-part": Address,
  "copy-part": CopyLink,
  "heads-part": Heads,
  "distributions-part": Distributions,
  "samples-part": SamplesList,
  "compared-part": Compared,
  "drawer-part": Drawer,
};

function draw(): void {
  applyTheme(state().theme);
  for (const [id, Part] of Object.entries(PARTS)) {
    const place = document.getElementById(id);
    if (place) render(<Part state={state()} />, place);
  }
  // Charts whose data are in them
  for (const place of document.querySelectorAll<HTMLElement>("[data-chart]")) {
    render(<Figure name={place.dataset.chart!} label={place.dataset.label!} />, place);
  }
  markPlace();
  markRegions();
}

async function main(): Promise<void> {
  if (!(await loadPieces(draw))) {
    render(<Missing />, document.getElementById("missing-part")!);
    document.documentElement.dataset.ready = "no";
    return;
  }
  begin(draw);
  document.getElementById("theme")!.onclick = () => go({ theme: scheme() === "dark" ? "light" : "dark" });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  watchRegions();
  draw();
  land();
  await drawn();
  land();
  watchPlace();
  markRegions();
  document.documentElement.dataset.ready = "yes";
}

void main();
