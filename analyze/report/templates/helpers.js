"use strict";
// What the page's script needs and what depends on nothing in the page: elements, numbers, colours, packed arrays.
function element(tag, content = "", more = {}) {
  const made = Object.assign(document.createElement(tag), more);
  if (Array.isArray(content)) made.append(...content);
  else made.textContent = content;
  return made;
}
const missing = (value) => value === null || value === undefined || Number.isNaN(value);
const minus = (text) => text.replace("-", "−");
const digits = (value, places) => (missing(value) ? "–" : minus(value.toFixed(places)));

// Colours and letters of the charts, those of the page's style
function theme() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const dark = style.colorScheme === "dark";
  const size = parseFloat(style.fontSize) / 16; // larger on a projector, as the page's letters are
  const axis = { labelColor: of("soft"), titleColor: of("soft"), gridColor: of("line"), domainColor: of("line"), tickColor: of("line"), titleFontWeight: 500, labelFontSize: 11.5 * size, titleFontSize: 12 * size };
  return {
    background: "transparent", font: "system-ui, sans-serif", axis, view: { stroke: null },
    legend: { labelColor: of("soft"), titleColor: of("soft"), labelFontSize: 11.5 * size },
    range: { ramp: { scheme: "viridis" }, diverging: dark ? ["#6cc0ff", "#3d444f", "#ffb454"] : ["#0b5fa5", "#efece4", "#c25700"] },
    style: { quiet: { fill: of("quiet"), stroke: of("quiet"), color: of("quiet") }, own: { fill: of("own"), color: of("own") }, chosen: { stroke: of("ink"), fill: null } },
  };
}

// Arrays: gzip, in base64
async function unpacked(text) {
  const letters = atob(text);
  const packed = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place++) packed[place] = letters.charCodeAt(place);
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

// A map of attention, a pixel a patch, from steps of its square root: the opacity; the brightest patch is opaque
function painted(values, rows, columns) {
  const most = Math.max(1, ...values);
  const canvas = element("canvas", "", { width: columns, height: rows });
  const pixels = new ImageData(columns, rows);
  values.forEach((value, patch) => pixels.data.set([255, 40 + 200 * (value / most) ** 2, 0, 205 * (value / most)], patch * 4));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}
