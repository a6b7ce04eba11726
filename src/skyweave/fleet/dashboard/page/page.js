"use strict";
// The live page. State comes whole over a WebSocket; everything shown is drawn from the last one.

const $ = (id) => document.getElementById(id);
const canvas = $("map"), context = canvas.getContext("2d");
const COLOURS = ["#6cb6ff", "#ffb86c", "#8be28b", "#ff8fc7", "#c4a5ff", "#ffe066", "#70e0d8", "#ff9a8a"];
const CLASSES = { car: "#ffeb50", truck: "#ff8c28", bus: "#ff5ac8", bicycle: "#96ff5a", pedestrian: "#5afff0" };
const TRAIL_SECONDS = 8;
const STALE_SECONDS = 3;                          // from which an age is marked, and what is drawn from it is pale
const NOT_LIVE_SECONDS = 2;                       // without a drawn state after which the page no longer says "live"
const MAX_CLOCK_SECONDS = 15;                     // by which a platform's clock may differ from the viewer's
let connected = false, drawnAt = -Infinity, fault = "";
let state = null, paused = false, chosen = "", fitted = "", mapMoved = false, socket = null, wait = 250;
let viewport = { x: 0, y: 0, scale: 4 };          // world metres in the middle, pixels a metre
const trails = new Map();                         // identity -> [[x, y, time], ...]
const shownCameras = new Map();

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/live`);
  socket.onopen = () => { wait = 250; };
  socket.onmessage = (event) => { if (!paused) { receive(event.data); } };
  socket.onclose = () => {
    connected = false;
    setTimeout(connect, wait);
    wait = Math.min(wait * 1.7, 4000);
  };
}

function receive(text) {
  const before = drawnAt;
  connected = true;
  drawnAt = performance.now();
  try { update(JSON.parse(text)); fault = ""; }
  catch (error) { drawnAt = before; fault = `cannot show what comes: ${error.message}`; }
}

function sinceDrawn() { return (performance.now() - drawnAt) / 1000; }
function age(name) { return state.age[name] + sinceDrawn(); }       // seconds since the capture of what is shown

function showAge() {                                  // what is shown says how old it is, also when nothing comes
  const names = state ? Object.keys(state.platforms) : [];
  const lag = sinceDrawn(), scene = chosenScene();
  const recorded = scene ? state.time - scene.time : 0;
  if (fault) { showConnection(`NOT LIVE: ${fault}`, false); }
  else if (!state) { showConnection(connected ? "no platform is seen" : "no connection; trying again", false); }
  else if (lag > NOT_LIVE_SECONDS) {
    const why = paused ? "paused" : connected ? "nothing comes" : "no connection; trying again";
    showConnection(`NOT LIVE: ${why}; this is ${lag.toFixed(0)} s old`, false);
  } else if (!names.length) { showConnection("no platform is seen", false); }
  else if (recorded > MAX_CLOCK_SECONDS) { showConnection(`NOT LIVE: captured ${new Date(scene.time * 1000).toISOString().slice(0, 19)} UTC`, false); }
  else if (scene && age(chosen) > STALE_SECONDS) { showConnection(`NOT LIVE: ${chosen} is ${age(chosen).toFixed(0)} s old`, false); }
  else { showConnection("live", true); }
  document.body.classList.toggle("stale", !$("connection").classList.contains("live"));
  if (state && lag > 0.5) { fillPlatforms(names.sort()); }
}
setInterval(showAge, 250);

function showConnection(text, live) {
  const field = $("connection");
  if (field.textContent !== text) { field.textContent = text; }
  field.classList.toggle("live", live);
}

function update(next) {
  state = next;
  $("fleet").textContent = state.fleet;
  const names = Object.keys(state.platforms).sort();
  if (!names.includes(chosen)) { chosen = names[0] || ""; trails.clear(); }
  fillSelect(names);
  updateTrails();
  fillPlatforms(names);
  fillLinks(names);
  fillCameras();
  if (!mapMoved && fitted !== names.join()) { fitted = names.join(); fit(); }   // until somebody moves the map
  draw();
}


function chosenScene() { return state && state.platforms[chosen]; }

function updateTrails() {                             // trails of the chosen platform's tracks
  const scene = chosenScene();
  if (!scene) { return; }
  for (const box of scene.boxes) {
    if (!box.id) { continue; }
    const trail = trails.get(box.id) || [];
    const last = trail[trail.length - 1];
    if (!last || last[2] < scene.time) { trail.push([box.centre[0], box.centre[1], scene.time]); }
    trails.set(box.id, trail.filter((point) => scene.time - point[2] < TRAIL_SECONDS));
  }
  for (const [id, trail] of trails) {
    if (!trail.length || scene.time - trail[trail.length - 1][2] > TRAIL_SECONDS) { trails.delete(id); }
  }
}

function colour(name) {
  const names = Object.keys(state.platforms).sort();
  return COLOURS[Math.max(names.indexOf(name), 0) % COLOURS.length];
}

// --- the map ---------------------------------------------------------------------------------------------------------

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  drawGridLines(width, height);
  if (!state) { return; }
  const scene = chosenScene();
  if ($("views").checked) { drawViews(); }
  if ($("links").checked) { drawLinks(); }
  if (scene) {
    if ($("trails").checked) { drawTrails(scene); }
    if ($("forecasts").checked) { drawForecasts(scene); }
    drawBoxes(scene);
  }
  drawPlatforms();
  $("place").textContent = scene ? `${scene.boxes.length} objects, ${scene.crs || "local metres"}, ${new Date(scene.time * 1000).toISOString().slice(11, 23)} UTC` : "";
}

function toCanvas(x, y) { return [(x - viewport.x) * viewport.scale + canvas.clientWidth / 2, (viewport.y - y) * viewport.scale + canvas.clientHeight / 2]; }

function tracePath(points, close) {
  context.beginPath();
  points.forEach((point, i) => { const [u, v] = toCanvas(point[0], point[1]); i ? context.lineTo(u, v) : context.moveTo(u, v); });
  if (close) { context.closePath(); }
}

function drawGridLines(width, height) {
  let step = 1;
  while (step * viewport.scale < 60) { step *= step.toString()[0] === "2" ? 2.5 : 2; }
  context.strokeStyle = "#1d2732";
  context.lineWidth = 1;
  const west = viewport.x - width / 2 / viewport.scale, south = viewport.y - height / 2 / viewport.scale;
  for (let x = Math.ceil(west / step) * step; x < west + width / viewport.scale; x += step) {
    const [u] = toCanvas(x, 0); context.beginPath(); context.moveTo(u, 0); context.lineTo(u, height); context.stroke();
  }
  for (let y = Math.ceil(south / step) * step; y < south + height / viewport.scale; y += step) {
    const [, v] = toCanvas(0, y); context.beginPath(); context.moveTo(0, v); context.lineTo(width, v); context.stroke();
  }
  context.fillStyle = "#93a4b8";
  context.font = "12px system-ui";
  context.fillRect(width - 20 - step * viewport.scale, height - 18, step * viewport.scale, 2);
  context.fillText(`${step} m`, width - 20 - step * viewport.scale, height - 24);
}

function drawViews() {
  for (const [name, scene] of Object.entries(state.platforms)) {
    for (const view of scene.views) {
      if (view.footprint.length < 3) { continue; }
      tracePath(view.footprint, true);
      context.globalAlpha = name === chosen ? 0.13 : 0.06;
      context.fillStyle = context.strokeStyle = colour(name);
      context.fill();
      context.globalAlpha = 0.6;
      context.lineWidth = name === chosen ? 1.5 : 0.7;
      context.stroke();
      context.globalAlpha = 1;
    }
  }
}

function platformPosition(name) {
  const scene = state.platforms[name];
  return scene && scene.views.length ? scene.views[0].position : null;
}

function drawLinks() {
  for (const [to, scene] of Object.entries(state.platforms)) {
    for (const [from, rate] of Object.entries(scene.rates)) {
      const a = platformPosition(from), b = platformPosition(to);
      if (!a || !b) { continue; }
      const alive = scene.links[from] && scene.links[from].alive;
      context.setLineDash(alive ? [] : [4, 6]);
      context.strokeStyle = alive ? "#6fd08c" : "#ff8a7a";
      context.globalAlpha = 0.35;
      context.lineWidth = 0.5 + Math.min(Math.log10(1 + rate / 100), 4);
      tracePath([a, b], false);
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 1;
    }
  }
}

function drawPlatforms() {
  context.font = "12px system-ui";
  for (const [name, scene] of Object.entries(state.platforms)) {
    for (const view of scene.views.slice(0, 1)) {
      const [u, v] = toCanvas(view.position[0], view.position[1]);
      context.fillStyle = colour(name);
      context.globalAlpha = age(name) > STALE_SECONDS ? 0.35 : 1;
      context.beginPath();
      context.moveTo(u + 10 * Math.cos(view.heading), v - 10 * Math.sin(view.heading));
      context.lineTo(u + 7 * Math.cos(view.heading + 2.5), v - 7 * Math.sin(view.heading + 2.5));
      context.lineTo(u + 7 * Math.cos(view.heading - 2.5), v - 7 * Math.sin(view.heading - 2.5));
      context.closePath();
      context.fill();
      context.fillText(name, u + 12, v - 8);
      context.globalAlpha = 1;
    }
  }
}

function drawTrails(scene) {
  for (const box of scene.boxes) {
    const trail = box.id && trails.get(box.id);
    if (!trail || trail.length < 2) { continue; }
    context.strokeStyle = CLASSES[box.category] || "#cccccc";
    context.globalAlpha = 0.45;
    context.lineWidth = 1.5;
    tracePath(trail, false);
    context.stroke();
    context.globalAlpha = 1;
  }
}

function drawForecasts(scene) {
  const positions = new Map(scene.boxes.filter((box) => box.id).map((box) => [box.id, box.centre]));
  for (const forecast of scene.forecasts) {
    const start = forecast.id && positions.get(forecast.id);
    context.strokeStyle = CLASSES[forecast.category] || "#cccccc";
    context.setLineDash([3, 4]);
    context.lineWidth = 1.2;
    tracePath(start ? [start, ...forecast.path] : forecast.path, false);
    context.stroke();
    context.setLineDash([]);
  }
}

function drawBoxes(scene) {
  for (const box of scene.boxes) {
    const [length, width] = box.size, c = Math.cos(box.yaw), s = Math.sin(box.yaw);
    const corner = (a, b) => [box.centre[0] + a * length / 2 * c - b * width / 2 * s, box.centre[1] + a * length / 2 * s + b * width / 2 * c];
    context.strokeStyle = CLASSES[box.category] || "#cccccc";
    context.globalAlpha = 0.35 + 0.65 * box.score;
    context.lineWidth = 1.5;
    tracePath([corner(1, 1), corner(-1, 1), corner(-1, -1), corner(1, -1)], true);
    context.stroke();
    tracePath([corner(1, 1), corner(1, -1)], false);
    context.lineWidth = 3;
    context.stroke();
    context.globalAlpha = 1;
  }
}

function fit() {
  if (!state) { return; }
  const points = [];
  for (const scene of Object.values(state.platforms)) {
    for (const view of scene.views) { points.push(view.position); }
    for (const box of scene.boxes) { points.push(box.centre); }
  }
  if (!points.length) { return; }
  const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
  const [west, east, south, north] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  viewport.x = (west + east) / 2;
  viewport.y = (south + north) / 2;
  const scale = 0.85 * Math.min(canvas.clientWidth / Math.max(east - west, 20), canvas.clientHeight / Math.max(north - south, 20));
  viewport.scale = Math.max(scale, 1e-7);
  draw();
}

// --- the tables ------------------------------------------------------------------------------------------------------

function fillRows(body, contents) {                   // reuse rows, so that a selection in the page is not lost
  while (body.rows.length > contents.length) { body.deleteRow(-1); }
  contents.forEach((cells, r) => {
    const row = body.rows[r] || body.insertRow();
    cells.forEach((cell, c) => {
      const field = row.cells[c] || row.insertCell();
      const text = String(cell.text);
      if (field.textContent !== text) { field.textContent = text; }
      field.className = [cell.number ? "number" : "", cell.bad ? "bad" : ""].join(" ").trim();
      if (cell.swatch && !field.querySelector(".swatch")) {
        const dot = document.createElement("span");
        dot.className = "swatch";
        field.prepend(dot);
      }
      if (cell.swatch) { field.querySelector(".swatch").style.background = cell.swatch; }
    });
  });
}

function fillPlatforms(names) {
  fillRows($("platforms").tBodies[0], names.map((name) => {
    const scene = state.platforms[name], seconds = age(name);
    return [
      { text: name, swatch: colour(name) },
      { text: `${seconds.toFixed(1)} s`, number: true, bad: seconds > STALE_SECONDS },
      { text: `${(1000 * scene.latency).toFixed(0)} ms`, number: true },
      { text: scene.boxes.length, number: true },
      { text: Object.keys(scene.peer_frames).length, number: true },
      { text: `${(scene.budget / 1000).toFixed(1)} kB`, number: true },
    ];
  }));
}

function poseText(pose) {
  if (!pose) { return ""; }
  if (!pose.trusted) { return "unsure"; }
  return pose.metres || pose.degrees ? `${pose.metres.toFixed(1)} m ${pose.degrees.toFixed(1)}°` : "fits";
}

function fillLinks(names) {
  const cells = [];
  for (const to of names) {
    const scene = state.platforms[to];
    for (const from of Object.keys(scene.links).sort()) {
      const link = scene.links[from], rate = scene.rates[from];
      cells.push([
        { text: from }, { text: to },
        { text: rate === undefined ? "" : (rate * 8 / 1000).toFixed(1), number: true },
        { text: link.age === null ? "" : `${link.age.toFixed(2)} s`, number: true, bad: !link.alive },
        { text: link.rejected, number: true, bad: link.rejected > 0 },
        { text: poseText(link.pose), number: true, bad: Boolean(link.pose) && !link.pose.trusted },
      ]);
    }
  }
  fillRows($("throughput").tBodies[0], cells);
}

function fillCameras() {
  const container = $("cameras"), present = new Set();
  for (const camera of state.cameras) {
    const key = `${camera.platform}/${camera.channel}`;
    present.add(key);
    let shown = shownCameras.get(key);
    if (!shown) {
      const figure = document.createElement("figure"), image = document.createElement("img"), caption = document.createElement("figcaption");
      image.alt = `Camera ${camera.channel} of ${camera.platform}`;
      caption.textContent = camera.channel === camera.platform ? camera.platform : `${camera.platform} ${camera.channel}`;
      figure.append(image, caption);
      container.append(figure);
      shown = { figure, image, number: 0 };
      shownCameras.set(key, shown);
    }
    if (shown.number !== camera.number) {
      shown.number = camera.number;
      shown.image.src = `/camera/${encodeURIComponent(camera.platform)}/${encodeURIComponent(camera.channel)}?${camera.number}`;
    }
  }
  for (const [key, shown] of shownCameras) {
    if (!present.has(key)) { shown.figure.remove(); shownCameras.delete(key); }
  }
}

function fillSelect(names) {
  const select = $("chosen");
  if ([...select.options].map((option) => option.value).join() !== names.join()) {
    select.replaceChildren(...names.map((name, i) => new Option(i < 9 ? `${i + 1} ${name}` : name, name)));
  }
  select.value = chosen;
}

// --- keys and pointer ------------------------------------------------------------------------------------------------

function choosePlatform(name) { chosen = name; trails.clear(); if (state) { update(state); } }
function toggle(id) { $(id).checked = !$(id).checked; draw(); }
function pause() { paused = !paused; $("pause").setAttribute("aria-pressed", paused); $("pause").lastChild.textContent = paused ? "lay on" : "ause"; }
function help() { $("keys").hidden = !$("keys").hidden; $("help").setAttribute("aria-expanded", !$("keys").hidden); }
function zoom(factor) { mapMoved = true; viewport.scale = Math.min(Math.max(viewport.scale * factor, 0.05), 200); draw(); }
function move(x, y) { mapMoved = true; viewport.x += x / viewport.scale; viewport.y += y / viewport.scale; draw(); }

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") { return; }
  const keys = {
    ArrowLeft: () => move(-60, 0), ArrowRight: () => move(60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
    "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), f: fit, p: pause, "?": help,
    v: () => toggle("views"), t: () => toggle("trails"), r: () => toggle("forecasts"), l: () => toggle("links"),
    Escape: () => { if (!$("keys").hidden) { help(); } },
  };
  const names = state ? Object.keys(state.platforms).sort() : [];
  const number = Number(event.key);
  if (number >= 1 && number <= names.length) { choosePlatform(names[number - 1]); event.preventDefault(); }
  else if (keys[event.key]) { keys[event.key](); event.preventDefault(); }
});

let grabbed = null;
canvas.addEventListener("pointerdown", (event) => { grabbed = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); });
canvas.addEventListener("pointermove", (event) => {
  if (!grabbed) { return; }
  move(grabbed[0] - event.clientX, event.clientY - grabbed[1]);
  grabbed = [event.clientX, event.clientY];
});
canvas.addEventListener("pointerup", () => { grabbed = null; });
canvas.addEventListener("wheel", (event) => { zoom(Math.exp(-event.deltaY / 400)); event.preventDefault(); }, { passive: false });
for (const id of ["views", "trails", "forecasts", "links"]) { $(id).addEventListener("change", draw); }
$("chosen").addEventListener("change", (event) => choosePlatform(event.target.value));
$("fit").addEventListener("click", fit);
$("pause").addEventListener("click", pause);
$("help").addEventListener("click", help);
new ResizeObserver(draw).observe(canvas);
connect();
