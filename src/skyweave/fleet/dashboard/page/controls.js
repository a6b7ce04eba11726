"use strict";
// Keys, pointer, touch and buttons. This file comes last, and connects.

const LAYERS = { g: "ground", v: "views", t: "trails", r: "forecasts", l: "links", e: "ellipses", m: "names" };
const CLICK_PIXELS = 6;                           // that a pointer may move and still click

function choosePlatform(name) { chosen = name; trails.clear(); if (state) { update(state); } }
function toggle(id) { $(id).checked = !$(id).checked; draw(); }
function pause() { paused = !paused; $("pause").setAttribute("aria-pressed", paused); $("pause").lastChild.textContent = paused ? "lay on" : "ause"; }
function help() { $("keys").hidden = !$("keys").hidden; $("help").setAttribute("aria-expanded", !$("keys").hidden); }
function escape() { if ($("keys").hidden) { select(null); } else { help(); } }

const KEYS = {
  ArrowLeft: () => move(-60, 0), ArrowRight: () => move(60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), f: fit, p: pause, "?": help, a: acknowledge,
  n: () => selectNext(1), b: () => selectNext(-1), o: () => setFollowing(!following), Escape: escape,
  " ": togglePlay, ",": () => stepReplay(-STEP_SECONDS), ".": () => stepReplay(STEP_SECONDS),
};
for (const [key, id] of Object.entries(LAYERS)) {
  KEYS[key] = () => toggle(id);
  $(id).addEventListener("change", draw);
}

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || target.tagName === "SELECT") { return; }
  if (target.type === "range" && event.key.startsWith("Arrow")) { return; }
  if (event.key === " " && ["BUTTON", "SUMMARY", "INPUT"].includes(target.tagName)) { return; }   // they are pressed by it
  const names = [COMMON, ...platformNames()], number = /^[0-9]$/.test(event.key) ? Number(event.key) : -1;
  if (number >= 0 && number < names.length) { choosePlatform(names[number]); event.preventDefault(); }
  else if (KEYS[event.key]) { KEYS[event.key](); event.preventDefault(); }
});

const pointers = new Map();                       // of fingers and mouse buttons that are down: number -> [u, v]
let dragged = 0;                                  // pixels since the first of them

function onCanvas(event) { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; }

canvas.addEventListener("pointerdown", (event) => {
  if (!pointers.size) { dragged = 0; }
  pointers.set(event.pointerId, onCanvas(event));
  canvas.setPointerCapture(event.pointerId);
});

canvas.addEventListener("pointermove", (event) => {
  const at = onCanvas(event);
  showPointer(at);
  const before = pointers.get(event.pointerId);
  if (!before) { return; }
  const other = [...pointers].find(([number]) => number !== event.pointerId);
  dragged += Math.hypot(at[0] - before[0], at[1] - before[1]);
  pointers.set(event.pointerId, at);
  if (pointers.size === 2 && other) { pinch(before, at, other[1]); }
  else if (dragged > CLICK_PIXELS) { move(before[0] - at[0], at[1] - before[1]); }
});

function pinch(before, at, fixed) {                   // two fingers: nearer or farther around the other finger
  const distance = (point) => Math.max(Math.hypot(point[0] - fixed[0], point[1] - fixed[1]), 10);
  zoom(distance(at) / distance(before), fixed[0], fixed[1]);
}

canvas.addEventListener("pointerup", (event) => {
  if (pointers.size === 1 && dragged <= CLICK_PIXELS && state) { selectAt(...onCanvas(event)); }
  pointers.delete(event.pointerId);
});
canvas.addEventListener("pointercancel", (event) => { pointers.delete(event.pointerId); });
canvas.addEventListener("pointerleave", () => { $("pointer").textContent = ""; });
canvas.addEventListener("wheel", (event) => { zoom(Math.exp(-event.deltaY / 400), ...onCanvas(event)); event.preventDefault(); }, { passive: false });

function showPointer([u, v]) {
  const [x, y] = toWorld(u, v), metres = `${x.toFixed(1)} m E ${y.toFixed(1)} m N`;
  $("pointer").textContent = [degreesText(x, y), metres].filter(Boolean).join("   ");
}

$("chosen").addEventListener("change", (event) => choosePlatform(event.target.value));
$("fit").addEventListener("click", fit);
$("pause").addEventListener("click", pause);
$("help").addEventListener("click", help);
$("follow").addEventListener("click", () => setFollowing(!following));
$("deselect").addEventListener("click", () => select(null));
$("acknowledge").addEventListener("click", acknowledge);
$("play").addEventListener("click", togglePlay);
$("speed").addEventListener("change", (event) => { sendReplay({ speed: Number(event.target.value) }); });
$("slider").addEventListener("input", (event) => { sliding = true; if (state && state.replay) { seek(state.replay.begin + Number(event.target.value)); } });
$("slider").addEventListener("change", () => { sliding = false; });
$("replay").addEventListener("submit", (event) => event.preventDefault());
for (const list of ["object-list", "link-list"]) { $(list).addEventListener("toggle", () => { listedAt = -Infinity; if (state) { update(state); } }); }
for (const [name, style] of [...Object.entries(CLASSES), ["others", OTHER_CLASS]]) {
  const item = document.createElement("li"), mark = document.createElement("i");
  mark.className = "box";
  mark.style.borderColor = style;
  item.append(mark, name);
  $("classes").append(item);
}
if (matchMedia("(max-width: 64rem)").matches) { $("legend").open = false; }
new ResizeObserver(draw).observe(canvas);
connect();
