"use strict";
// The page of `skyweave label`. The server holds the state; every command is answered with all of it.

const $ = (id) => document.getElementById(id);
const canvas = $("map"), context = canvas.getContext("2d");
const scene = new Image(), classMap = new Image(), doubtMap = new Image();
const DRAG_PIXELS = 4;                             // that the pointer moves before a click is a drag
let state = null, chosen = 0, current = 0;         // class of the next click; sample that is asked for
let viewport = { x: 0, y: 0, scale: 8 };           // patch in the middle, pixels a patch
let pointer = null, mark = null, queue = Promise.resolve();

async function start() {
  const answer = await fetch("/state");
  scene.onload = classMap.onload = doubtMap.onload = draw;
  scene.src = "/scene.png";
  update(await answer.json());
  fit();
  show("click an example of each class");
}

function show(text, bad) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", Boolean(bad));
}

function send(path, fields) {                      // one command after the other, in the order of the clicks
  queue = queue.then(async () => {
    try {
      const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) });
      const content = await answer.json();
      if (content.error) { show(content.error, true); return null; }
      update(content);
      return content;
    } catch (error) {
      show("no connection to skyweave", true);
      return null;
    }
  });
  return queue;
}

function update(next) {
  const changed = !state || next.version !== state.version;
  state = next;
  if (changed) {
    classMap.src = `/map.png?version=${state.version}`;
    doubtMap.src = `/doubt.png?version=${state.version}`;
  }
  fillClasses();
  fillAreas();
  $("question").hidden = !state.question || Boolean(state.sample);
  fillAssessment();
  draw();
}

// --- panels ----------------------------------------------------------------------------------------------------------

function fillClasses() {
  if ($("classes").childElementCount !== state.classes.length) {
    state.classes.forEach((entry, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("role", "radio");
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = entry.colour;
      button.append(swatch, `${index + 1}  ${entry.name}`);
      button.onclick = () => choose(index);
      $("classes").append(button);
    });
  }
  [...$("classes").children].forEach((button, index) => button.setAttribute("aria-checked", String(index === chosen)));
}

function choose(index) {
  if (index >= state.classes.length) { return; }
  if (state.sample) { answerSample(index); return; }
  chosen = index;
  fillClasses();
  if (mark) {                                      // the question is answered
    const [row, column] = mark;
    mark = null;
    send("/example", { row, column, class: index });
  }
}

function fillAreas() {
  const total = state.areas.reduce((sum, area) => sum + area, 0) || 1;
  const estimates = state.estimates;
  $("estimate-head").textContent = estimates ? "estimate" : "";
  const rows = state.classes.map((entry, index) => {
    const row = document.createElement("tr");
    const examples = state.examples.filter((example) => example[2] === index).length;
    const share = state.examples.length ? `${(100 * state.areas[index] / total).toFixed(1)} %` : "";
    const estimate = estimates ? `${(100 * estimates.shares[index]).toFixed(1)} ± ${(100 * estimates.intervals[index]).toFixed(1)} %` : "";
    for (const [text, number] of [[entry.name, false], [examples, true], [share, true], [estimate, true]]) {
      const cell = document.createElement("td");
      cell.textContent = text;
      cell.className = number ? "number" : "";
      row.append(cell);
    }
    return row;
  });
  $("areas").tBodies[0].replaceChildren(...rows);
}

function fillAssessment() {
  const sample = state.sample;
  $("drawing").hidden = Boolean(sample);
  $("assessing").hidden = !sample;
  $("sample").disabled = new Set(state.examples.map((example) => example[2])).size < 2;
  if (sample) {
    const done = sample.filter((entry) => entry[2] >= 0).length;
    $("progress").textContent = done < sample.length
      ? `${done} of ${sample.length}. What is at the mark? Answer with 1 to 9; what the map says is hidden.` : `all ${sample.length} answered; export, or end to go on with examples.`;
  }
  $("accuracy").textContent = state.estimates
    ? `Overall accuracy ${(100 * state.estimates.overall[0]).toFixed(1)} ± ${(100 * state.estimates.overall[1]).toFixed(1)} %` : "";
}

function nextSample() {
  const open = state.sample.findIndex((entry, index) => index >= current && entry[2] < 0);
  current = open >= 0 ? open : Math.max(0, state.sample.findIndex((entry) => entry[2] < 0));
  look(state.sample[current]);
}

async function answerSample(index) {
  await send("/reference", { index: current, class: index });
  if (state.sample && state.sample.some((entry) => entry[2] < 0)) { nextSample(); }
  draw();
}

// --- the map ---------------------------------------------------------------------------------------------------------

function toCanvas(column, row) {
  return [(column - viewport.x) * viewport.scale + canvas.clientWidth / 2, (row - viewport.y) * viewport.scale + canvas.clientHeight / 2];
}

function toPatch(u, v) {
  return [Math.floor((v - canvas.clientHeight / 2) / viewport.scale + viewport.y), Math.floor((u - canvas.clientWidth / 2) / viewport.scale + viewport.x)];
}

function fit() {
  viewport = { x: state.columns / 2, y: state.rows / 2, scale: 0.95 * Math.min(canvas.clientWidth / state.columns, canvas.clientHeight / state.rows) };
  draw();
}

function look([row, column]) {
  viewport.x = column + 0.5;
  viewport.y = row + 0.5;
  viewport.scale = Math.max(viewport.scale, Math.min(canvas.clientWidth, canvas.clientHeight) / 24);
  draw();
}

function drawImage(image, opacity, smooth) {
  if (!image.naturalWidth || !opacity) { return; }
  const [left, top] = toCanvas(0, 0);
  context.globalAlpha = opacity;
  context.imageSmoothingEnabled = smooth;
  context.drawImage(image, left, top, state.columns * viewport.scale, state.rows * viewport.scale);
  context.globalAlpha = 1;
}

function drawPatch(row, column, colour, width) {
  const [left, top] = toCanvas(column, row);
  context.lineWidth = width + 2;
  context.strokeStyle = "#000";
  context.strokeRect(left, top, viewport.scale, viewport.scale);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.strokeRect(left, top, viewport.scale, viewport.scale);
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  if (!state) { return; }
  drawImage(scene, 1, true);
  if (!state.sample) {                             // the map must not lead who assesses it
    drawImage(classMap, $("opacity").value / 100, false);
    if ($("doubt").checked) { drawImage(doubtMap, 1, false); }
    for (const [row, column, label] of state.examples) { drawPatch(row, column, state.classes[label].colour, 2); }
    if (mark) { drawPatch(mark[0], mark[1], "#fff", 3); }
  } else if (state.sample[current]) {
    drawPatch(state.sample[current][0], state.sample[current][1], "#fff", 3);
  }
}

// --- hands -----------------------------------------------------------------------------------------------------------

function click(u, v) {
  if (!state || state.sample) { return; }
  const [row, column] = toPatch(u, v);
  const here = state.examples.find((example) => example[0] === row && example[1] === column);
  mark = null;
  send("/example", { row, column, class: here && here[2] === chosen ? null : chosen });
}

canvas.addEventListener("pointerdown", (event) => {
  pointer = { u: event.offsetX, v: event.offsetY, x: viewport.x, y: viewport.y, moved: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (state) {
    const [row, column] = toPatch(event.offsetX, event.offsetY);
    const inside = row >= 0 && column >= 0 && row < state.rows && column < state.columns;
    $("place").textContent = inside ? `row ${row}, column ${column}` : "";
  }
  if (!pointer) { return; }
  const du = event.offsetX - pointer.u, dv = event.offsetY - pointer.v;
  pointer.moved = pointer.moved || Math.hypot(du, dv) > DRAG_PIXELS;
  if (pointer.moved) {
    viewport.x = pointer.x - du / viewport.scale;
    viewport.y = pointer.y - dv / viewport.scale;
    draw();
  }
});
canvas.addEventListener("pointerup", (event) => {
  if (pointer && !pointer.moved) { click(event.offsetX, event.offsetY); }
  pointer = null;
});
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const factor = Math.exp(-event.deltaY / 400);
  const du = event.offsetX - canvas.clientWidth / 2, dv = event.offsetY - canvas.clientHeight / 2;
  const scale = Math.min(Math.max(viewport.scale * factor, 0.05), 400);
  viewport.x += du / viewport.scale - du / scale;
  viewport.y += dv / viewport.scale - dv / scale;
  viewport.scale = scale;
  draw();
}, { passive: false });

function visit() {
  if (!state.question || state.sample) { return; }
  mark = state.question;
  look(mark);
}

$("visit").onclick = visit;
$("fit").onclick = fit;
$("opacity").oninput = $("doubt").onchange = draw;
$("sample").onclick = async () => {
  mark = null;
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  if (await send("/sample", { count: Number($("count").value), seed })) { current = 0; nextSample(); }
};
$("previous").onclick = () => { current = Math.max(0, current - 1); look(state.sample[current]); };
$("end").onclick = async () => { await send("/end", {}); fit(); };
$("export").onclick = async () => {
  const content = await send("/export", {});
  if (content && content.written) { show(`written: ${content.written.join(", ")}`); }
};
document.addEventListener("keydown", (event) => {
  if (!state || event.target.matches("input[type=number]") || event.ctrlKey || event.metaKey || event.altKey) { return; }
  const key = event.key.toLowerCase();
  if (key >= "1" && key <= "9") { choose(Number(key) - 1); }
  if (key === "n") { visit(); }
  if (key === "f") { fit(); }
  if (key === "e") { $("export").click(); }
  if (key === "u") { $("doubt").checked = !$("doubt").checked; draw(); }
});
window.addEventListener("resize", draw);
start().catch(() => show("no connection to skyweave", true));
