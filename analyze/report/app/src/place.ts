// The place on the page: links within it lead there, and the address holds the section that is on the screen.
import { drawn } from "./chart";
import { follow, go, pass, sections, state } from "./state";

const LINE = 0.3; // of the screen's height, from the top: the section that is there is the one that is read
const elementOf = (name: string) => document.getElementById(`${name}-section`)!;

// Scrolls to the chosen section, if there is one
export function land(): void {
  if (state().at) elementOf(state().at).scrollIntoView();
}

let leading = 0; // links that were followed and whose charts are still being drawn

const focusMap = () => document.getElementById("map")?.focus({ preventScroll: true });

// Chooses the head of a mark that was clicked; from then on the keys are those of the map of heads
export function choose({ cell }: Record<string, unknown>): void {
  if (cell === undefined) return;
  go({ cell: cell as number });
  focusMap();
}

// Follows a link within the page; a link to a head leads to its map
async function pressed(event: MouseEvent): Promise<void> {
  const link = (event.target as Element).closest?.("a[href^='#']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const { at, cell } = follow(link.getAttribute("href")!);
  if (cell !== undefined) focusMap();
  if (at === undefined) return;
  leading += 1;
  land();
  if (cell === undefined) elementOf(at).focus({ preventScroll: true });
  await drawn().finally(() => (leading -= 1)); // charts that are drawn anew may be higher
  land();
}

function watch(): void {
  if (leading) return;
  const own = elementOf(state().at || sections()[0]).getBoundingClientRect().top;
  const { scrollTop, scrollHeight, clientHeight } = document.documentElement;
  // At the end of the page the last sections do not reach the line
  if (scrollTop + clientHeight >= scrollHeight - 1 && own >= 0 && own < clientHeight) return;
  pass(sections().findLast((name) => elementOf(name).getBoundingClientRect().top <= LINE * clientHeight) ?? "");
}

// Marks the link to the section that is on the screen
export function markPlace(): void {
  for (const link of document.querySelectorAll("#contents a")) {
    if (link.getAttribute("href") === `#${state().at}-section`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

export function watchPlace(): void {
  let waiting = false;
  const later = () => {
    if (!waiting) requestAnimationFrame(() => ((waiting = false), watch()));
    waiting = true;
  };
  addEventListener("scroll", later, { passive: true });
  document.addEventListener("click", (event) => void pressed(event));
  // An address that the reader typed; the browser itself scrolls where the history leads back
  addEventListener("popstate", (event) => event.state === null && land());
}
