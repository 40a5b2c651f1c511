// Light or dark: of the page, and of charts, which take their colours and letters from the page's style.
const root = document.documentElement;
let style: CSSStyleDeclaration;

// Applies the reader's choice, or the system's where it is ""
export function applyTheme(chosen: string): void {
  if (chosen) root.dataset.theme = chosen;
  else delete root.dataset.theme;
  style = getComputedStyle(root);
}

export const scheme = () => (style.colorScheme === "dark" ? "dark" : "light");
export const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();

// Of heads that are not significant: neither the colour of 0 nor that of the page
export const grey = () => (scheme() === "dark" ? "#6a727d" : "#b4b4b4");

// What Vega's `config` is made of
export interface Look {
  colours: { soft: string; line: string; quiet: string; own: string; ink: string };
  letters: [labels: number, titles: number]; // sizes
  font: string;
  background: string;
  diverging: string[];
  lines: number; // their width
  signals: Record<string, unknown>; // those of colours
}

const LIGHT = ["#0b5fa5", "#efece4", "#c25700"];

// On white paper, in points; the colours are those of the light page
export const PRINT: Look = {
  colours: { soft: "#222222", line: "#cccccc", quiet: "#c3c7cc", own: "#e08a00", ink: "#000000" },
  letters: [7, 8],
  font: "Helvetica, Arial, sans-serif",
  background: "#ffffff",
  diverging: LIGHT,
  lines: 0.5,
  signals: { grey: "#b4b4b4", ink: "#000000", accent: "#0072b2", picked: -1 }, // no head is chosen on paper
};

function screen(): Look {
  const size = parseFloat(style.fontSize) / 16; // larger on a projector, as the page's letters are
  const [soft, line, quiet, own, ink] = ["soft", "line", "quiet", "own", "ink"].map(colour);
  return {
    colours: { soft, line, quiet, own, ink },
    letters: [11.5 * size, 12 * size],
    font: "system-ui, sans-serif",
    background: "transparent",
    diverging: scheme() === "dark" ? ["#6cc0ff", "#3d444f", "#ffb454"] : LIGHT,
    lines: 1,
    signals: {},
  };
}

// Vega's `config`
export function configOfCharts(look = screen()): Record<string, unknown> {
  const { soft, line, quiet, own, ink } = look.colours;
  const letters = { labelColor: soft, titleColor: soft, labelFontSize: look.letters[0] };
  const [gridWidth, domainWidth, tickWidth] = Array(3).fill(look.lines);
  const lines = { gridColor: line, domainColor: line, tickColor: line, gridWidth, domainWidth, tickWidth };
  return {
    background: look.background,
    font: look.font,
    axis: { ...letters, ...lines, titleFontWeight: 500, titleFontSize: look.letters[1] },
    view: { stroke: null },
    legend: { ...letters, symbolBaseStrokeColor: soft },
    range: { ramp: { scheme: "viridis" }, diverging: look.diverging },
    style: {
      quiet: { fill: quiet, stroke: quiet, color: quiet },
      own: { fill: own, color: own },
      chosen: { stroke: ink, fill: null },
      picked: { stroke: own, fill: null },
      chosen_dot: { stroke: ink },
    },
  };
}
