"use strict";
// The live page. State comes whole over a WebSocket; everything shown is drawn from the last one. The other files:
// viewport (metres, pixels, degrees), ground, map, selection, events, tables, cameras, replay, controls.

const $ = (id) => document.getElementById(id);
const COLOURS = ["#6cb6ff", "#ffb86c", "#8be28b", "#ff8fc7", "#c4a5ff", "#ffe066", "#70e0d8", "#ff9a8a"];
const CLASSES = { car: "#ffeb50", truck: "#ff8c28", bus: "#ff5ac8", bicycle: "#96ff5a", pedestrian: "#5afff0" };
const OTHER_CLASS = "#d0d0d0";
const COMMON = "";                                // chosen: the common scene, not that of a platform
const TRAIL_SECONDS = 8;                          // of trails
const STALE_SECONDS = 3;                          // from which an age is marked, and what is drawn from it is pale
const NOT_LIVE_SECONDS = 2;                       // without a drawn state after which the page no longer says "live"
const MAX_CLOCK_SECONDS = 15;                     // by which a platform's clock may differ from the viewer's
const MAX_DELAYS = 64;                            // states of which it is remembered how long they took to come
let delays = [];                                  // of the newest states: seconds from the server's clock to this one's
let connected = false, drawnAt = -Infinity, fault = "";
let state = null, paused = false, chosen = COMMON, fitted = "", mapMoved = false, socket = null, wait = 250;
let fleetIdentities = new Map();                  // "platform/track" -> identity in the common scene
const trails = new Map();                         // track of the chosen platform -> [[x, y, time], ...]

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/live`);
  socket.onopen = () => { wait = 250; delays = []; };
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
  try {
    const next = JSON.parse(text);
    drawnAt -= 1000 * secondsOnTheWay(next.written);
    update(next);
    fault = "";
  }
  catch (error) { drawnAt = before; fault = `cannot show what comes: ${error.message}`; }
}

// Neither clock is ever set: how much longer than the quickest a state took to come is a delay, of server, link or browser.
function secondsOnTheWay(written) {
  delays = [...delays.slice(1 - MAX_DELAYS), performance.now() / 1000 - written];
  return delays[delays.length - 1] - Math.min(...delays);
}

function sinceDrawn() { return (performance.now() - drawnAt) / 1000; }
function stands() { return state.replay && !state.replay.playing; }          // a replay that does not play
function age(name) { return state.age[name] + (stands() ? 0 : sinceDrawn()); }     // seconds since the capture of what is shown
function platformNames() { return state ? Object.keys(state.platforms).sort() : []; }

function showAge() {                              // what is shown says how old it is, also when nothing comes
  const names = platformNames(), lag = sinceDrawn();
  const oldest = newestScene();
  const recorded = oldest ? state.time - oldest.time : 0;
  if (fault) { showConnection(`NOT LIVE: ${fault}`, false); }
  else if (!state) { showConnection(connected ? "no platform is seen" : "no connection; trying again", false); }
  else if (lag > NOT_LIVE_SECONDS) {
    const why = paused ? "paused" : connected ? "nothing comes" : "no connection; trying again";
    showConnection(`NOT LIVE: ${why}; this is ${lag.toFixed(0)} s old`, false);
  } else if (state.replay) { showConnection(`REPLAY of ${new Date(state.time * 1000).toISOString().slice(0, 10)}`, true); }
  else if (!names.length) { showConnection("no platform is seen", false); }
  else if (!oldest) { showConnection(`NOT LIVE: ${chosen} is not seen`, false); }    // stays chosen: it may come back
  else if (recorded > MAX_CLOCK_SECONDS) { showConnection(`NOT LIVE: captured ${new Date(oldest.time * 1000).toISOString().slice(0, 19)} UTC`, false); }
  else if (shownAge() > STALE_SECONDS) { showConnection(`NOT LIVE: ${chosen || "the newest scene"} is ${shownAge().toFixed(0)} s old`, false); }
  else { showConnection("live", true); }
  document.body.classList.toggle("stale", !$("connection").classList.contains("live"));
  if (state && lag > 0.5) { fillPlatforms(names); }
}
setInterval(showAge, 250);

function showConnection(text, live) {
  const field = $("connection");
  if (field.textContent !== text) { field.textContent = text; }
  field.classList.toggle("live", live);
  field.classList.toggle("replayed", live && Boolean(state && state.replay));
}

function update(next) {
  state = next;
  $("fleet").textContent = state.fleet;
  const names = platformNames();
  fleetIdentities = new Map();
  for (const known of state.common) {
    for (const [platform, track] of Object.entries(known.tracks)) { fleetIdentities.set(`${platform}/${track}`, known.identity); }
  }
  fillSelect(names);
  updateTrails();
  followSelected();
  fillPlatforms(names);
  fillLinks(names);
  fillObjects();
  fillCameras();
  fillEvents();
  fillSelected();
  fillReplay();
  if (!mapMoved && fitted !== names.join()) { fitted = names.join(); fit(); }   // until somebody moves the map
  draw();
}

function chosenScene() { return state && state.platforms[chosen]; }

function newestScene() {                              // whose age says whether the page is live
  if (chosen !== COMMON) { return chosenScene(); }
  const name = platformNames().sort((a, b) => age(a) - age(b))[0];
  return name === undefined ? undefined : state.platforms[name];
}

function shownAge() {
  const scene = newestScene();
  return scene ? age(scene.platform) : 0;
}

function shownObjects() {                             // of the common scene, or the boxes of the chosen platform
  if (chosen === COMMON) { return state.common; }
  const scene = chosenScene();
  if (!scene) { return []; }
  return scene.boxes.map((box) => ({
    ...box, track: box.id, time: scene.time, speed: Math.hypot(...box.velocity),
    identity: box.id === null ? null : fleetIdentities.get(`${chosen}/${box.id}`) || `${chosen}/${box.id}`,
    trail: (box.id && trails.get(box.id)) || [],
  }));
}

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
    if (!trail.length || Math.abs(scene.time - trail[trail.length - 1][2]) > TRAIL_SECONDS) { trails.delete(id); }
  }
}

function colour(name) {                               // stays a platform's while others come and go
  if (!platformColours.has(name)) { platformColours.set(name, COLOURS[platformColours.size % COLOURS.length]); }
  return platformColours.get(name);
}
const platformColours = new Map();
function classColour(category) { return CLASSES[category] || OTHER_CLASS; }
