"use strict";
// Fills the named data of the charts, the numbers beside them, and the samples. Charts are Vega-Lite; texts of data are
// only ever set as textContent.
(async () => {
  const $ = (id) => document.getElementById(id);
  const page = JSON.parse($("page-data").textContent);
  const { words, layers, heads, categories, samples, flows, maps } = page;
  const cells = layers.length * heads; // `layers`: the numbers of those that attend
  const SHOWN = 12; // samples at once
  const ERRORS = 1; // the least that Vega logs
  const FORMATS = { float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };
  const bytes = await unpacked($("page-arrays").textContent);
  const array = (name) => {
    const [type, first, number] = page.arrays[name];
    return new FORMATS[type](bytes, first, number);
  };
  const state = { measure: page.measures.find((each) => each.key === page.measure), category: 0, cell: 0, shade: "value", page: 0, marked: -1 };
  const views = {};

  // Elements
  const options = (id, pairs) => $(id).replaceChildren(...pairs.map(([value, text]) => element("option", text, { value })));
  const filled = (name, values) => words[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
  const headName = (cell) => filled("head_name", { layer: layers[Math.floor(cell / heads)], head: cell % heads });
  const shortName = (cell) => `L${layers[Math.floor(cell / heads)]}H${cell % heads}`;
  const number = (value) => (state.measure.signed && value >= 0 ? "+" : "") + digits(value, 4);

  // Charts
  async function draw(name, place = name) {
    if (!$(place) || !page.charts[name]) return;
    views[place]?.finalize();
    const made = await vegaEmbed($(place), structuredClone(page.charts[name]), {
      mode: "vega-lite", ast: true, actions: false, renderer: "svg", defaultStyle: false, config: theme(), logLevel: ERRORS,
      tooltip: { disableDefaultStyle: true },
    });
    views[place] = made;
    if (place === "map") made.view.addEventListener("click", (_, item) => item?.datum?.cell !== undefined && choose(item.datum.cell));
  }
  function fill(place, data, signals = {}) {
    const view = views[place].view;
    for (const [name, rows] of Object.entries(data)) view.data(name, rows);
    for (const [name, value] of Object.entries(signals)) view.signal(name, value);
    return view.resize().runAsync(); // labels may be wider than before
  }

  // The map
  const means = () => array(`${state.measure.key}/means`);
  const mean = (cell, category = state.category) => means()[category * cells + cell];
  function order() {
    const known = [...Array(cells).keys()].filter((cell) => !Number.isNaN(mean(cell)));
    return known.sort((one, other) => mean(other) - mean(one));
  }
  const mapName = () => (state.measure.signed ? "map_signed" : "map");
  const chosen = () => [{ layer: layers[Math.floor(state.cell / heads)], head: state.cell % heads }];
  async function showMap() {
    if (views.map?.of !== mapName()) {
      await draw(mapName(), "map");
      views.map.of = mapName();
    }
    const highest = order();
    const scale = state.shade === "value" ? valueScale(highest) : rankScale(highest);
    const rows = highest.map((cell, place) => ({ cell, layer: layers[Math.floor(cell / heads)], head: cell % heads, shade: scale.shade(cell, place), text: number(mean(cell)), rank: place + 1 }));
    rows.sort((one, other) => one.cell - other.cell);
    const { low, high, ticks, labels, note } = scale;
    await fill("map", { cells: rows, chosen: chosen() }, { low, high, ticks, labels });
    $("beyond").textContent = note;
    $("map").setAttribute("aria-label", [state.measure.label, words.comma, categoryName(), words.stop, words.highest, words.colon, highest.slice(0, 3).map((cell) => `${headName(cell)} ${number(mean(cell))}`).join(words.semicolon)].join(""));
    const chip = (cell) => {
      const made = element("button", `${shortName(cell)}  ${number(mean(cell))}`, { type: "button", onclick: () => choose(cell) });
      made.dataset.cell = cell;
      return made;
    };
    $("highest").replaceChildren(...highest.slice(0, 10).map(chip));
    $("lowest").replaceChildren(...highest.slice(-10).reverse().map(chip));
    $("lowest-heads").hidden = !state.measure.signed;
    $("definition").textContent = words[`define_${state.measure.kind}`];
    await showHead();
  }
  // The ends of the colours are in the page; heads beyond them have the last colour, and the labels say so
  function valueScale(highest) {
    const [low, high] = array(`${state.measure.key}/ends`).slice(2 * state.category, 2 * state.category + 2);
    const slack = (high - low) * 1e-5; // of float32
    const above = highest.filter((cell) => mean(cell) > high + slack).length, below = highest.filter((cell) => mean(cell) < low - slack).length;
    const label = (value) => minus(String(Number(value.toPrecision(5))));
    const ends = [(below ? "≤ " : "") + label(low), (above ? "≥ " : "") + label(high)];
    const note = above + below ? filled("beyond", { number: above + below, of: highest.length }) : "";
    return { low, high, ticks: [low, (low + high) / 2, high], labels: [ends[0], label((low + high) / 2), ends[1]], note, shade: (cell) => mean(cell) };
  }
  function rankScale(highest) {
    const last = highest.length, middle = highest.findIndex((cell) => mean(cell) < 0);
    const labels = [`${words.rank} ${last}`, `${words.rank} 1`];
    if (!state.measure.signed) return { low: -last, high: -1, ticks: [-last, -1], labels, note: "", shade: (cell, place) => -1 - place };
    const positive = middle < 0 ? last : middle; // above 0: positive, positive - 1 ... 1; below: -1, -2 ...
    const high = Math.max(positive, last - positive, 1);
    return { low: -high, high, ticks: [positive - last, positive], labels, note: "", shade: (cell, place) => positive - place - (place >= positive ? 1 : 0) };
  }
  const categoryName = () => (state.category ? categories[state.category - 1] : words.all);
  function choose(cell) {
    state.cell = cell;
    return Promise.all([fill("map", { chosen: chosen() }), showHead()]);
  }

  // The head that is chosen
  async function showHead() {
    const { key, reliability, signed, edges } = state.measure;
    const cell = state.cell;
    $("head-name").textContent = headName(cell);
    $("measure-name").textContent = state.measure.label;
    document.querySelector(".head-name").textContent = shortName(cell);
    const halves = array(`${key}/halves`);
    const of = cells, low = array(`${key}/low`)[cell], ranked = [halves[cell], halves[cells + cell]];
    const rows = [
      ["mean_all", "mean", number(mean(cell, 0))],
      ["interval", "interval", Number.isNaN(low) ? words.no_interval : filled("range", { low: number(low), high: number(array(`${key}/high`)[cell]) })],
      ...(state.category ? [["mean_here", "here", filled("in_category", { value: number(mean(cell)), category: categoryName() })]] : []),
      ["rank", "rank", filled("rank_of", { rank: array(`${key}/ranks`)[cell], number: of })],
      ...(ranked.every(Boolean) ? [["rank_halves", "halves", ranked.join(" · ")]] : []),
      ["reliability", "reliability", digits(reliability, 3)],
    ];
    $("numbers").replaceChildren(...rows.flatMap(([name, id, text]) => {
      const value = element("dd", text, { title: id === "reliability" ? words.reliability_help : "" });
      value.dataset.number = id;
      return [element("dt", words[name]), value];
    }));
    for (const chip of [...$("highest").children, ...$("lowest").children]) chip.setAttribute("aria-pressed", String(Number(chip.dataset.cell) === cell));
    $("signed-note").hidden = !signed;
    const bins = array(`${key}/bins`), size = edges.length - 1;
    const shares = (first, last) => {
      const counts = Array(size).fill(0);
      for (let place = first * size; place < last * size; place++) counts[place % size] += bins[place];
      const total = counts.reduce((sum, count) => sum + count, 0) || 1;
      return counts.map((count, place) => ({ left: edges[place], right: edges[place + 1], share: count / total }));
    };
    await fill("histogram", { all: shares(0, cells), own: shares(cell, cell + 1) });
    showProfile();
    showTop();
    showSamples();
  }
  function showProfile() {
    const values = means();
    const rows = categories.map((category, place) => {
      const own = values.subarray((place + 1) * cells, (place + 2) * cells);
      const known = own.filter((value) => !Number.isNaN(value));
      const all = known.reduce((sum, value) => sum + value, 0) / known.length;
      return { category, value: own[state.cell], all, text: number(own[state.cell]), all_text: number(all) };
    });
    fill("profile", { profile: rows.filter((row) => !Number.isNaN(row.value)) });
    $("profile-table").replaceChildren(...rows.map((row) => {
      const line = element("tr", [element("th", row.category, { scope: "row" }), element("td", row.text), element("td", row.all_text)]);
      line.dataset.category = row.category;
      return line;
    }));
  }
  function showTop() {
    const { key, kept } = state.measure;
    const top = array(`${key}/top`), values = array(`${key}/values`);
    const rows = [];
    for (let place = state.cell * kept; place < (state.cell + 1) * kept; place++) {
      const row = top[place] - 1;
      if (row < 0) continue;
      const line = element("li", [element("b", number(values[place])), " ", element("button", samples.question[row] ?? samples.id[row], { type: "button", className: "link", onclick: () => mark(row) }), element("span", ` ${categories[samples.category[row]]}`, { className: "small" })]);
      line.dataset.sample = samples.id[row];
      rows.push(line);
    }
    $("top").replaceChildren(...rows);
  }

  // Distributions
  function showDistribution() {
    const panel = Number($("panel").value), of = Number($("of-what").value);
    const shares = array("shares"), edges = page.measures[0].edges, size = edges.length - 1;
    const shown = flows.map((flow, place) => ({ ...flow, place })).filter((flow) => flow.panel === panel);
    const height = (group, bin) => shown.reduce((sum, flow) => sum + shares[(group * flows.length + flow.place) * size + bin], 0);
    const kind = of === 0 ? [0, 0] : of <= layers.length ? [1, layers.length] : [layers.length + 1, layers.length + categories.length];
    let top = 0;
    for (let group = kind[0]; group <= kind[1]; group++) for (let bin = 0; bin < size; bin++) top = Math.max(top, height(group, bin));
    const bars = shown.flatMap((flow) => edges.slice(0, -1).map((left, bin) => ({ left, right: edges[bin + 1], label: flow.label, place: flow.place, share: shares[(of * flows.length + flow.place) * size + bin] })));
    const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
    $("colours").replaceChildren(...shown.flatMap((flow) => {
      const swatch = element("span", "", { className: "swatch" });
      swatch.style.background = flow.colour === "#000000" ? ink : flow.colour;
      return [swatch, flow.label];
    }));
    return fill("distribution", { bars }, { top: top * 1.05, ink });
  }

  // Samples
  function fitting() {
    const category = Number($("sample-category").value), pair = Number($("sample-state").value), text = $("search").value.trim().toLowerCase();
    return [...samples.id.keys()].filter((row) =>
      (category < 0 || samples.category[row] === category) && (pair < -1 || samples.state[row] === pair) && (!text || (samples.question[row] ?? "").toLowerCase().includes(text)));
  }
  function showSamples() {
    // Samples with an image come first, so that the few that are in the page are found
    const rows = fitting().sort((one, other) => (samples.picture[one] === null) - (samples.picture[other] === null) || one - other);
    const pages = Math.max(1, Math.ceil(rows.length / SHOWN));
    if (state.marked >= 0 && rows.includes(state.marked)) state.page = Math.floor(rows.indexOf(state.marked) / SHOWN);
    state.page = Math.min(state.page, pages - 1);
    $("found").textContent = rows.length ? filled("found", { number: rows.length }) : words.none_found;
    $("page").textContent = filled("page", { page: state.page + 1, pages });
    $("earlier").disabled = state.page === 0;
    $("later").disabled = state.page >= pages - 1;
    $("cards").replaceChildren(...rows.slice(state.page * SHOWN, (state.page + 1) * SHOWN).map(card));
    if (!maps) return;
    $("overlay-head").textContent = shortName(state.cell);
    const lacking = $("overlay").checked && !maps.cells.includes(state.cell);
    $("no-map").hidden = !lacking;
    $("no-map").replaceChildren(words.no_map, ...(lacking ? maps.cells.flatMap((cell) => [element("button", shortName(cell), { type: "button", className: "link", onclick: () => choose(cell) }), " "]) : []));
  }
  function card(row) {
    const right = samples.right[row];
    const pair = samples.state[row] < 0 ? page.stateless : page.states[samples.state[row]];
    const numbers = Object.entries(page.numbers).map(([column, name]) => `${words[name]} ${digits(samples[column][row], 3)}`).join(" · ");
    const text = element("div", [
      element("p", samples.question[row] ?? "–", { className: "question" }),
      element("p", [words.answer, words.colon, element("bdi", samples.answer[row] ?? "–"), ` · ${words.prediction}${words.colon}`, element("bdi", samples.prediction[row] ?? "–")]),
      element("p", numbers, { className: "numbers-of-sample" }),
      element("p", [...(right === null ? [] : [element("span", right ? words.right : words.wrong, { className: `tag ${right ? "right" : "wrong"}` })]), ...(pair === "right" ? [] : [element("span", words[pair], { className: "tag" })])]),
      element("p", [element("bdi", categories[samples.category[row]]), " · ", element("bdi", samples.id[row])], { className: "small" }),
    ], { className: "text" });
    const made = element("li", [picture(row), text], { className: row === state.marked ? "card marked" : "card" });
    made.dataset.sample = samples.id[row];
    made.dataset.category = categories[samples.category[row]];
    made.dataset.state = pair;
    return made;
  }
  function picture(row) {
    const place = samples.picture[row];
    if (place === null) return element("div", page.images.length ? words.no_image : "", { className: page.images.length ? "nothing" : "" });
    const image = element("img", "", { src: `data:image/jpeg;base64,${page.images[place]}`, alt: `${words.image_of} ${samples.question[row] ?? samples.id[row]}` });
    const frame = element("div", [image], { className: "frame" });
    const head = maps && $("overlay").checked ? maps.cells.indexOf(state.cell) : -1;
    if (head >= 0 && maps.grids[row]) frame.append(overlay(maps.grids[row], head));
    const of = samples.images[row];
    const which = of > 1 ? [element("p", filled("first_of", { number: of }), { className: "small" })] : [];
    return element("div", [frame, ...which], { className: "picture" });
  }
  function overlay([rows, columns, x0, y0, x1, y1, first], which) {
    const values = array("maps").subarray(first + which * rows * columns, first + (which + 1) * rows * columns);
    const canvas = painted(values, rows, columns);
    Object.assign(canvas.style, { left: `${100 * x0}%`, top: `${100 * y0}%`, width: `${100 * (x1 - x0)}%`, height: `${100 * (y1 - y0)}%` });
    return canvas;
  }
  function mark(row) {
    state.marked = row;
    $("sample-category").value = "-1";
    $("sample-state").value = "-2";
    $("search").value = "";
    showSamples();
    document.querySelector(".card.marked").scrollIntoView({ block: "center" });
  }
  function refilter() {
    state.page = 0;
    state.marked = -1;
    showSamples();
  }

  // Controls
  function showKind(kind) {
    const own = page.measures.filter((each) => each.kind === kind);
    options("measure", own.map((each) => [each.key, each.label]));
    if (state.measure.kind !== kind) state.measure = own.find((each) => each.name === "d2v") ?? own[0];
    $("measure").value = state.measure.key;
    for (const button of document.querySelectorAll("[data-kind]")) button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
  }
  for (const button of document.querySelectorAll("[data-kind]")) {
    button.onclick = () => { showKind(button.dataset.kind); showMap(); };
  }
  $("measure").onchange = () => { state.measure = page.measures.find((each) => each.key === $("measure").value); showMap(); };
  $("category").onchange = () => { state.category = Number($("category").value); showMap(); };
  $("shade").onchange = () => { state.shade = $("shade").value; showMap(); };
  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  $("map").onkeydown = (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const layer = Math.floor(state.cell / heads) + step[0], head = (state.cell % heads) + step[1];
    if (layer >= 0 && layer < layers.length && head >= 0 && head < heads) choose(layer * heads + head);
  };
  const panels = [...new Map(flows.map((flow) => [flow.panel, words[`panel_${flow.of}`]]))];
  options("panel", panels);
  options("of-what", [[0, words.whole_run], ...layers.map((layer, place) => [place + 1, `${words.layer} ${layer}`]), ...categories.map((name, place) => [1 + layers.length + place, name])]);
  $("panel").onchange = $("of-what").onchange = showDistribution;
  $("sample-category").onchange = $("sample-state").onchange = $("search").oninput = refilter;
  if (maps) $("overlay").onchange = showSamples;
  $("earlier").onclick = () => { state.page--; state.marked = -1; showSamples(); };
  $("later").onclick = () => { state.page++; state.marked = -1; showSamples(); };
  const root = document.documentElement;
  $("theme").onclick = () => { root.dataset.theme = getComputedStyle(root).colorScheme === "dark" ? "light" : "dark"; showAll(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showAll);

  async function showAll() {
    views.map && (views.map.of = "");
    const own = ["histogram", "profile", "distribution"];
    await Promise.all([...own, ...Object.keys(page.charts).filter((name) => !own.includes(name) && !name.startsWith("map"))].map((name) => draw(name)));
    showKind(state.measure.kind);
    await showMap();
    await showDistribution();
    root.dataset.ready = "yes";
  }
  state.cell = order()[0];
  await showAll();
})();
