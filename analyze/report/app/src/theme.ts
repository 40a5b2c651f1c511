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

// Vega's `config`
export function configOfCharts(): Record<string, unknown> {
  const size = parseFloat(style.fontSize) / 16; // larger on a projector, as the page's letters are
  const [soft, line, quiet, own] = ["soft", "line", "quiet", "own"].map(colour);
  const diverging = scheme() === "dark" ? ["#6cc0ff", "#3d444f", "#ffb454"] : ["#0b5fa5", "#efece4", "#c25700"];
  const letters = { labelColor: soft, titleColor: soft, labelFontSize: 11.5 * size };
  const lines = { gridColor: line, domainColor: line, tickColor: line };
  return {
    background: "transparent",
    font: "system-ui, sans-serif",
    axis: { ...letters, ...lines, titleFontWeight: 500, titleFontSize: 12 * size },
    view: { stroke: null },
    legend: letters,
    range: { ramp: { scheme: "viridis" }, diverging },
    style: {
      quiet: { fill: quiet, stroke: quiet, color: quiet },
      own: { fill: own, color: own },
      chosen: { stroke: colour("ink"), fill: null },
      chosen_dot: { stroke: colour("ink") },
    },
  };
}
