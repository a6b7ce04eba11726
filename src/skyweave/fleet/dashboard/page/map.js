"use strict";
// The map: everything is drawn anew from the last state.

const canvas = $("map"), context = canvas.getContext("2d");
const ELLIPSE_SCALE = Math.sqrt(-2 * Math.log(0.1));   // standard deviations of the ellipse that holds 90 %
const HALO = "rgba(8, 12, 16, 0.75)";                   // around lines, to be seen on any ground

let drawingSoon = false;
function drawSoon() {                                 // once, for all tiles that come together
  if (drawingSoon) { return; }
  drawingSoon = true;
  requestAnimationFrame(() => { drawingSoon = false; draw(); });
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  drawGround(width, height);
  drawGridLines(width, height);
  showScale();
  if (!state) { return; }
  showNorth();
  const objects = shownObjects();
  if ($("views").checked) { drawViews(); }
  if ($("links").checked) { drawLinks(); }
  if ($("trails").checked) { objects.forEach(drawTrail); }
  if ($("forecasts").checked) { drawForecasts(objects); }
  if ($("ellipses").checked) { objects.forEach(drawEllipse); }
  drawSight(objects);
  objects.forEach(drawBox);
  if ($("names").checked) { objects.forEach(drawName); }
  drawPlatforms();
  drawLost();
  const scene = newestScene();
  const time = scene ? `${new Date(scene.time * 1000).toISOString().slice(11, 21)} UTC` : "";
  $("summary").textContent = scene ? `${objects.length} objects, ${scene.crs || "local metres"}, ${time}` : "";
}

function tracePath(points, close) {
  context.beginPath();
  points.forEach((point, i) => { const [u, v] = toCanvas(point[0], point[1]); i ? context.lineTo(u, v) : context.moveTo(u, v); });
  if (close) { context.closePath(); }
}

function strokeWithHalo(style, width) {
  context.strokeStyle = HALO;
  context.lineWidth = width + 2;
  context.stroke();
  context.strokeStyle = style;
  context.lineWidth = width;
  context.stroke();
}

function writeWithHalo(text, u, v, style) {
  context.font = "12px system-ui";
  context.lineJoin = "round";
  context.strokeStyle = HALO;
  context.lineWidth = 3;
  context.strokeText(text, u, v);
  context.fillStyle = style;
  context.fillText(text, u, v);
}

function drawGridLines(width, height) {
  const step = scaleStep();
  context.strokeStyle = "rgba(120, 145, 170, 0.16)";
  context.lineWidth = 1;
  const west = viewport.x - width / 2 / viewport.scale, south = viewport.y - height / 2 / viewport.scale;
  for (let x = Math.ceil(west / step) * step; x < west + width / viewport.scale; x += step) {
    const [u] = toCanvas(x, 0); context.beginPath(); context.moveTo(u, 0); context.lineTo(u, height); context.stroke();
  }
  for (let y = Math.ceil(south / step) * step; y < south + height / viewport.scale; y += step) {
    const [, v] = toCanvas(0, y); context.beginPath(); context.moveTo(0, v); context.lineTo(width, v); context.stroke();
  }
}

function showScale() {
  const step = scaleStep();
  $("scale").style.width = `${step * viewport.scale}px`;
  $("scale").firstElementChild.textContent = step >= 1000 ? `${step / 1000} km` : `${step} m`;
}

function showNorth() {
  const convergence = state.geographic ? state.geographic.convergence : 0;
  $("north").firstElementChild.setAttribute("transform", `rotate(${convergence * 180 / Math.PI})`);
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
      context.globalAlpha = 0.5;
      context.lineWidth = 0.5 + Math.min(Math.log10(1 + rate / 100), 4);
      tracePath([a, b], false);
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 1;
    }
  }
}

function drawSight(objects) {                         // from the selected object to who sees it
  const object = objects.find((one) => isSelected(one));
  for (const name of object ? object.observers : []) {
    const position = platformPosition(name);
    if (!position) { continue; }
    tracePath([position, object.centre], false);
    context.setLineDash([2, 4]);
    strokeWithHalo(colour(name), 1.2);
    context.setLineDash([]);
  }
}

function traceArrow(position, heading) {
  const [u, v] = toCanvas(position[0], position[1]);
  context.beginPath();
  context.moveTo(u + 11 * Math.cos(heading), v - 11 * Math.sin(heading));
  context.lineTo(u + 8 * Math.cos(heading + 2.5), v - 8 * Math.sin(heading + 2.5));
  context.lineTo(u + 8 * Math.cos(heading - 2.5), v - 8 * Math.sin(heading - 2.5));
  context.closePath();
  return [u, v];
}

function drawPlatforms() {
  for (const [name, scene] of Object.entries(state.platforms)) {
    for (const view of scene.views.slice(0, 1)) {
      context.globalAlpha = age(name) > STALE_SECONDS ? 0.4 : 1;
      const [u, v] = traceArrow(view.position, view.heading);
      strokeWithHalo(colour(name), 1);
      context.fillStyle = colour(name);
      context.fill();
      writeWithHalo(name, u + 12, v - 8, colour(name));
      context.globalAlpha = 1;
    }
  }
}

function drawLost() {                                 // where a platform was when it was last received
  for (const lost of state.lost) {
    const [u, v] = traceArrow(lost.position, lost.heading);
    context.setLineDash([2, 2]);
    strokeWithHalo("#ff8a7a", 1.5);
    context.setLineDash([]);
    writeWithHalo(`${lost.platform} lost, ${lost.age.toFixed(0)} s`, u + 12, v - 8, "#ff8a7a");
  }
}

function drawTrail(object) {
  const points = object.trail.filter((point) => object.time - point[2] < (isSelected(object) ? Infinity : TRAIL_SECONDS));
  if (points.length < 2) { return; }
  context.strokeStyle = classColour(object.category);
  context.globalAlpha = 0.6;
  context.lineWidth = 1.5;
  tracePath(points, false);
  context.stroke();
  context.globalAlpha = 1;
}

function drawForecasts(objects) {                     // of the chosen platform; in the common scene the freshest forecast of each
  const drawn = new Set();
  const positions = new Map(objects.filter((object) => object.identity).map((object) => [object.identity, object.centre]));
  const scenes = chosen === COMMON ? Object.values(state.platforms).sort((a, b) => b.time - a.time) : [chosenScene()];
  for (const scene of scenes.filter(Boolean)) {
    for (const forecast of scene.forecasts) {
      const identity = fleetIdentities.get(`${scene.platform}/${forecast.id}`);
      if (identity && drawn.has(identity)) { continue; }
      drawn.add(identity);
      const start = identity && positions.get(identity);
      if (chosen === COMMON && !start) { continue; }
      context.strokeStyle = classColour(forecast.category);
      context.setLineDash([3, 4]);
      context.lineWidth = 1.2;
      tracePath(start ? [start, ...forecast.path] : forecast.path, false);
      context.stroke();
      context.setLineDash([]);
    }
  }
}

function ellipseAxes(covariance) {                    // of the 90 % ellipse: half axes in metres, angle of the longer from east
  const [xx, xy, yy] = covariance;
  const mean = (xx + yy) / 2, root = Math.hypot((xx - yy) / 2, xy);
  return { long: ELLIPSE_SCALE * Math.sqrt(Math.max(mean + root, 0)), short: ELLIPSE_SCALE * Math.sqrt(Math.max(mean - root, 0)), angle: Math.atan2(2 * xy, xx - yy) / 2 };
}

function drawEllipse(object) {
  if (!object.covariance) { return; }
  const axes = ellipseAxes(object.covariance), [u, v] = toCanvas(object.centre[0], object.centre[1]);
  context.beginPath();
  context.ellipse(u, v, axes.long * viewport.scale, axes.short * viewport.scale, -axes.angle, 0, 2 * Math.PI);
  context.globalAlpha = isSelected(object) ? 1 : 0.55;
  strokeWithHalo(classColour(object.category), isSelected(object) ? 1.5 : 0.8);
  context.globalAlpha = 1;
}

function boxCorners(object) {
  const [length, width] = object.size, c = Math.cos(object.yaw), s = Math.sin(object.yaw);
  const corner = (a, b) => [object.centre[0] + a * length / 2 * c - b * width / 2 * s, object.centre[1] + a * length / 2 * s + b * width / 2 * c];
  return [corner(1, 1), corner(-1, 1), corner(-1, -1), corner(1, -1)];
}

function drawBox(object) {
  const corners = boxCorners(object), selected = isSelected(object);
  context.globalAlpha = selected ? 1 : 0.4 + 0.6 * object.score;
  tracePath(corners, true);
  strokeWithHalo(classColour(object.category), selected ? 2.5 : 1.5);
  tracePath([corners[0], corners[3]], false);         // the front
  context.lineWidth = selected ? 4 : 3;
  context.stroke();
  context.globalAlpha = 1;
  if (selected) { drawSelectionMark(object); }
}

function drawSelectionMark(object) {
  const [u, v] = toCanvas(object.centre[0], object.centre[1]);
  const radius = Math.max(object.size[0] * viewport.scale * 0.75, 16);
  context.beginPath();
  context.arc(u, v, radius, 0, 2 * Math.PI);
  strokeWithHalo("#ffffff", 1.5);
  writeWithHalo(object.identity, u + radius + 4, v + 4, "#ffffff");
}

function drawName(object) {
  if (!object.identity || isSelected(object)) { return; }
  const [u, v] = toCanvas(object.centre[0], object.centre[1]);
  writeWithHalo(object.identity, u + 6, v - 6, classColour(object.category));
}
