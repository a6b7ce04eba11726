"use strict";
// Where the map looks: metres to pixels and back, and metres to degrees.

let viewport = { x: 0, y: 0, scale: 4 };          // world metres in the middle, pixels a metre
const MIN_SCALE = 0.05, MAX_SCALE = 200;          // pixels a metre

function toCanvas(x, y) { return [(x - viewport.x) * viewport.scale + canvas.clientWidth / 2, (viewport.y - y) * viewport.scale + canvas.clientHeight / 2]; }
function toWorld(u, v) { return [viewport.x + (u - canvas.clientWidth / 2) / viewport.scale, viewport.y - (v - canvas.clientHeight / 2) / viewport.scale]; }

function fit() {
  if (!state) { return; }
  const points = state.lost.map((lost) => lost.position);
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

function zoom(factor, u = canvas.clientWidth / 2, v = canvas.clientHeight / 2) {   // what is at (u, v) stays there
  mapMoved = true;
  const [x, y] = toWorld(u, v);
  viewport.scale = Math.min(Math.max(viewport.scale * factor, MIN_SCALE), MAX_SCALE);
  const [newX, newY] = toWorld(u, v);
  viewport.x += x - newX;
  viewport.y += y - newY;
  draw();
}

function move(u, v) {                                 // by hand: the map no longer follows anything
  mapMoved = true;
  following = false;
  viewport.x += u / viewport.scale;
  viewport.y += v / viewport.scale;
  draw();
}

function toDegrees(x, y) {                            // [longitude, latitude]; null where that is not known
  const fitted = state && state.geographic;
  if (!fitted) { return null; }
  const a = (x - fitted.origin[0]) / fitted.extent, b = (y - fitted.origin[1]) / fitted.extent;
  if (Math.abs(a) > 1 || Math.abs(b) > 1) { return null; }   // farther away the polynomials do not hold
  const terms = [1, a, b, a * a, a * b, b * b, a * a * a, a * a * b, a * b * b, b * b * b];
  const sum = (coefficients) => terms.reduce((total, term, i) => total + term * coefficients[i], 0);
  return [sum(fitted.longitude), sum(fitted.latitude)];
}

function degreesText(x, y) {
  const degrees = toDegrees(x, y);
  if (!degrees) { return ""; }
  const [longitude, latitude] = degrees;
  return `${Math.abs(latitude).toFixed(6)}° ${latitude < 0 ? "S" : "N"} ${Math.abs(longitude).toFixed(6)}° ${longitude < 0 ? "W" : "E"}`;
}

function bearing(angle) {                             // degrees clockwise from true north, of an angle from the map's east
  const convergence = state && state.geographic ? state.geographic.convergence : 0;
  return (((90 - (angle + convergence) * 180 / Math.PI) % 360) + 360) % 360;
}

function scaleStep() {                                // metres, round, of at least 60 pixels
  let step = 0.1;
  for (let i = 0; step * viewport.scale < 60 && i < 60; i++) { step = Number((step * [2, 2.5, 2][i % 3]).toPrecision(3)); }
  return step;
}
