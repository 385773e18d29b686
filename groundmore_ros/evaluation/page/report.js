// SPDX-License-Identifier: Apache-2.0
"use strict";
const { summary, rows, films, published } = JSON.parse(document.getElementById("data").textContent);
const METRICS = ["J", "F", "J&F", "J&F inside", "J&F union", "temporal IoU", "recall@0.5", "right object"];
const PAGE = 100;
const SVG = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);
const byKey = new Map(rows.map((r) => [`${r.v}/${r.q}`, r]));
const both = (j, f) => (j === null || f === null ? null : (j + f) / 2);
const union = (r) => both(r.f.J_union, r.f.F_union);
const quality = (r) => union(r) ?? r.f.temporal_iou ?? 0;
const number = (x, digits = 3) => (x === null || x === undefined ? "–" : x.toFixed(digits));

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function shape(parent, tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  parent.append(made);
  return made;
}

function row(table, cells, kind = "", head = false) {
  const line = element("tr", "", kind ? { class: kind } : {});
  for (const cell of cells) {
    const made = element(head ? "th" : "td");
    made.append(cell);
    line.append(made);
  }
  table.append(line);
  return line;
}

function figureCell(figure) {
  if (!figure) return "–";
  const cell = document.createDocumentFragment();
  cell.append(number(figure[0]), element("small", `${number(figure[1], 2)} – ${number(figure[2], 2)}`));
  return cell;
}

function drawHead() {
  const missing = Object.keys(summary["missing videos"] ?? {});
  const parts = [summary.dataset, `model ${summary.model}`, `${summary.questions} questions about ${summary.videos} videos`, `frames scored: ${summary.frames}`];
  if (missing.length) parts.push(`missing videos: ${missing.join(", ")}`);
  $("about").textContent = parts.join(" · ");
  const whole = summary.groups.motion ?? summary.groups.all;
  const cards = [["right object", whole["right object"]], ["temporal IoU", whole["temporal IoU"]], ["J&F, the event and what was masked", whole["J&F union"]], ["J&F, published protocol", whole["J&F"]]];
  for (const [name, figure] of cards) card(number(figure && figure[0]), name + (figure ? ` (${number(figure[1], 2)} – ${number(figure[2], 2)})` : ""));
  const nothing = summary.nothing;
  if (nothing.questions) card(number(nothing["said so"] && nothing["said so"][0]), `said "nothing" where nothing is right (${nothing.questions})`);
  card(String(summary.failed), "failed questions, which score 0");
}

function card(value, name) {
  const made = element("div", "", { class: "card" });
  made.append(element("b", value), element("span", name));
  $("cards").append(made);
}

function drawTypes() {
  const table = $("types");
  row(table, ["questions", "n", ...METRICS], "", true);
  const main = summary.groups.motion ? "motion" : "all";
  for (const [name, group] of Object.entries({ ...summary.groups, ...summary.tags })) {
    const title = element("span", name);
    row(table, [title, String(group.questions), ...METRICS.map((m) => figureCell(group[m]))], name === "all" || name === main ? "strong" : "");
    const baselines = Object.entries(group.baselines).map(([baseline, figures]) => row(table, [baseline, "", ...METRICS.map((m) => number(figures[m]))], "baseline"));
    const fold = element("button", "", { type: "button", class: "fold", title: `baselines of ${name}` });
    const show = (open) => { fold.textContent = open ? "−" : "+"; for (const b of baselines) b.hidden = !open; };
    fold.addEventListener("click", () => show(baselines[0].hidden));
    if (baselines.length) { title.append(" ", fold); show(name === main); }
  }
}

function drawPublished() {
  if (!published) return;
  const table = element("table");
  row(table, ["published", "J", "F", "J&F", "Causal", "Sequential", "Counterfactual", "Descriptive", "source"], "", true);
  const percent = (x) => (x === undefined || x === null ? "–" : x.toFixed(2));
  for (const r of published.results) {
    row(table, [`${r.name} (${r.setting}${r.note ? `; ${r.note}` : ""})`, percent(r.J), percent(r.F), percent(r.JF), ...["Causal", "Sequential", "Counterfactual", "Descriptive"].map((t) => percent((r.types ?? {})[t])), r.source]);
  }
  $("published").append(element("h3", "Published results (percent, official protocol; types: J&F)"), table);
}

function axes(svg, xs, ys) {
  shape(svg, "line", { class: "axis", x1: 40, y1: 260, x2: 350, y2: 260 });
  shape(svg, "line", { class: "axis", x1: 40, y1: 10, x2: 40, y2: 260 });
  for (const [at, label] of xs) shape(svg, "text", { x: at, y: 276, "text-anchor": "middle" }, label);
  for (const [at, label] of ys) {
    shape(svg, "line", { class: "axis", x1: 40, y1: at, x2: 350, y2: at, "stroke-dasharray": "2 4" });
    shape(svg, "text", { x: 34, y: at + 4, "text-anchor": "end" }, label);
  }
}

const UNIT = [0, 0.25, 0.5, 0.75, 1];

function drawScatter() {
  const svg = $("scatter");
  axes(svg, UNIT.map((t) => [40 + 310 * t, String(t)]), UNIT.map((t) => [260 - 250 * t, String(t)]));
  shape(svg, "text", { x: 195, y: 294, "text-anchor": "middle" }, "temporal IoU");
  for (const r of rows) {
    const y = union(r);
    if (r.f.temporal_iou === null || y === null) continue;
    const dot = shape(svg, "circle", { cx: 40 + 310 * r.f.temporal_iou, cy: 260 - 250 * y, r: 3, fill: r.f.right ? "var(--truth)" : "var(--answer)", "fill-opacity": 0.55 });
    shape(dot, "title", {}, `${r.text} (${r.v})`);
  }
}

function drawBins(id, length) {
  const known = rows.filter((r) => union(r) !== null && length(r) !== null);
  const svg = $(id);
  if (!known.length) return;
  const top = Math.max(...known.map(length)) || 1;
  const bins = Array.from({ length: 6 }, () => []);
  for (const r of known) bins[Math.min(5, Math.floor((6 * length(r)) / top))].push(union(r));
  axes(svg, bins.map((_, i) => [65 + 51 * i, `≤ ${number((top * (i + 1)) / 6, 1)} s`]), UNIT.map((t) => [260 - 250 * t, String(t)]));
  bins.forEach((bin, i) => {
    const mean = bin.reduce((a, b) => a + b, 0) / (bin.length || 1);
    shape(svg, "rect", { class: "bar", x: 46 + 51 * i, y: 260 - 250 * mean, width: 38, height: 250 * mean, rx: 3 });
    shape(svg, "text", { x: 65 + 51 * i, y: 294, "text-anchor": "middle" }, `n ${bin.length}`);
  });
}

function drawLatency() {
  const svg = $("latency");
  const parts = Object.entries(summary.latency);
  if (!parts.length) return;
  const top = Math.max(...parts.map(([, p]) => p.p95)) || 1;
  axes(svg, parts.map(([name], i) => [80 + 75 * i, name]), UNIT.map((t) => [260 - 250 * t, number(top * t, 2)]));
  parts.forEach(([, p], i) => {
    shape(svg, "rect", { class: "bar", x: 62 + 75 * i, y: 260 - (250 * p.median) / top, width: 36, height: (250 * p.median) / top, rx: 3 });
    shape(svg, "line", { class: "whisker", x1: 60 + 75 * i, x2: 100 + 75 * i, y1: 260 - (250 * p.p95) / top, y2: 260 - (250 * p.p95) / top });
  });
}

function drawCalibration() {
  const told = summary.calibration;
  const svg = $("calibration");
  if (!told) return;
  $("calibration-caption").textContent += `; expected calibration error ${number(told["expected error"])}`;
  axes(svg, UNIT.map((t) => [40 + 310 * t, String(t)]), UNIT.map((t) => [260 - 250 * t, String(t)]));
  shape(svg, "line", { class: "whisker", x1: 40, y1: 260, x2: 350, y2: 10, "stroke-dasharray": "3 5" });
  shape(svg, "text", { x: 195, y: 294, "text-anchor": "middle" }, "score");
  for (const bin of told.bins) {
    const dot = shape(svg, "rect", { class: "bar", x: 35 + 310 * bin.score, y: 255 - 250 * bin.right, width: 10, height: 10, rx: 5 });
    shape(dot, "title", {}, `${bin.answers} answers`);
  }
}

function timeline(r) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "timeline");
  svg.setAttribute("viewBox", "0 0 1000 18");
  svg.setAttribute("preserveAspectRatio", "none");
  const length = r.seconds || 1;
  const bar = (kind, y, [a, b]) => shape(svg, "rect", { class: kind, x: (1000 * (a - r.start)) / length, y, width: Math.max(8, (1000 * (b - a)) / length), height: 6 });
  shape(svg, "rect", { class: "clip", x: 0, y: 8, width: 1000, height: 2 });
  if (r.span) bar("truth", 1, r.span);
  for (const span of r.spans) bar("answer", 11, span);
  return svg;
}

function badge(r) {
  return element("span", r.status, { class: `badge ${r.status}` });
}

function drawFilms(kind) {
  for (const key of films[kind]) {
    const r = byKey.get(key);
    const { strip, overlay, error } = films.strips[key];
    const film = element("article", "", { class: "film" });
    const title = element("p");
    title.append(element("b", r.text), " → ", r.answer || "(no answer)", r.truth ? ` · truth: ${r.truth}` : "", " ", badge(r));
    const figures = `${r.type} · ${r.v} · J&F (union) ${number(union(r), 2)} · temporal IoU ${number(r.f.temporal_iou, 2)}`;
    const line = element("p", `${figures} `, { class: "figures" });
    if (overlay) line.append(element("a", "overlay", { href: encodeURI(overlay) }));
    film.append(title, line);
    if (strip) film.append(element("img", "", { src: strip, alt: "frames, truth, prediction", loading: "lazy" }));
    if (error || r.error) film.append(element("p", error || r.error, { class: "figures" }));
    film.append(timeline(r));
    $(kind).append(film);
  }
}

let shown = PAGE;

function drawRows() {
  const [type, status, order] = ["type", "status", "order"].map((id) => $(id).value);
  const words = $("search").value.toLowerCase();
  const chosen = rows.filter((r) => (!type || r.type === type) && (!status || r.status === status) && (!words || `${r.text} ${r.answer} ${r.truth} ${r.v}`.toLowerCase().includes(words)));
  if (order !== "order") chosen.sort((a, b) => (order === "worst" ? 1 : -1) * (quality(a) - quality(b)));
  const table = $("rows");
  table.replaceChildren();
  row(table, ["question", "type", "answer", "truth", "time", "J&F union", "tIoU", "score"], "", true);
  for (const r of chosen.slice(0, shown)) {
    const question = document.createDocumentFragment();
    const place = element("small", `${r.v} · ${r.q} `);
    const overlay = films.overlays[`${r.v}/${r.q}`];
    if (overlay) place.append(element("a", "overlay", { href: encodeURI(overlay) }));
    question.append(r.text, place);
    const answer = document.createDocumentFragment();
    answer.append(r.answer, " ", badge(r), element("small", r.error));
    row(table, [question, r.type, answer, r.truth, timeline(r), number(union(r)), number(r.f.temporal_iou), number(r.score, 2)]);
  }
  $("count").textContent = `${chosen.length} of ${rows.length} questions`;
  $("more").hidden = chosen.length <= shown;
}

function drawFilter() {
  for (const [id, pick] of [["type", (r) => r.type], ["status", (r) => r.status]]) {
    $(id).append(element("option", "all", { value: "" }));
    for (const name of [...new Set(rows.map(pick))].sort()) $(id).append(element("option", name || "(none)", { value: name }));
  }
  for (const id of ["type", "status", "order", "search"]) $(id).addEventListener("input", () => { shown = PAGE; drawRows(); });
  $("more").addEventListener("click", () => { shown += PAGE; drawRows(); });
  $("filter").addEventListener("submit", (event) => event.preventDefault());
}

drawHead();
drawTypes();
drawPublished();
drawScatter();
drawBins("by-clip", (r) => r.seconds);
drawBins("by-span", (r) => (r.span ? r.span[1] - r.span[0] : null));
drawCalibration();
drawLatency();
drawFilms("worst");
drawFilms("best");
drawFilter();
drawRows();
document.documentElement.dataset.ready = "yes";
