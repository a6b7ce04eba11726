"use strict";
// One object is selected: what is known of it, who sees it, and the map that follows it.

const SELECT_PIXELS = 24;                         // from the pointer to an object
let selected = null, following = false, lastSelected = null;   // identity; and the object as it was last seen

function isSelected(object) { return selected !== null && object.identity === selected; }
function selectedObject() { return state && selected !== null ? shownObjects().find(isSelected) || state.common.find(isSelected) : undefined; }

function select(identity) {
  selected = identity;
  lastSelected = null;
  if (identity === null) { following = false; }
  fillSelected();
  fillCameras();
  draw();
}

function selectAt(u, v) {                             // the nearest object; of those that overlap the smallest
  const reach = SELECT_PIXELS / viewport.scale, [x, y] = toWorld(u, v);
  const distance = (object) => Math.max(Math.hypot(object.centre[0] - x, object.centre[1] - y) - object.size[1] / 2, 0);
  const near = shownObjects().filter((object) => object.identity && distance(object) < Math.max(reach, object.size[0] / 2));
  near.sort((a, b) => distance(a) - distance(b) || a.size[0] - b.size[0]);
  select(near.length ? near[0].identity : null);
}

function selectNext(step) {
  const identities = shownObjects().map((object) => object.identity).filter(Boolean).sort(compareNames);
  if (!identities.length) { return; }
  const at = identities.indexOf(selected);
  select(identities[((at < 0 && step < 0 ? 0 : at) + step + identities.length) % identities.length]);
  const object = selectedObject(), [u, v] = object ? toCanvas(object.centre[0], object.centre[1]) : [0, 0];
  if (object && (u < 0 || v < 0 || u > canvas.clientWidth || v > canvas.clientHeight)) { centre(object); }
}

function compareNames(a, b) { return a.localeCompare(b, "en", { numeric: true }); }

function centre(object) {
  mapMoved = true;
  viewport.x = object.centre[0];
  viewport.y = object.centre[1];
}

function setFollowing(follow) {
  following = follow && selected !== null;
  followSelected();
  fillSelected();
  draw();
}

function followSelected() {
  const object = following && selectedObject();
  if (object) { centre(object); }
}

function fillSelected() {
  const object = selectedObject();
  lastSelected = object || lastSelected;
  $("nothing").hidden = Boolean(lastSelected);
  $("details").hidden = !lastSelected;
  $("follow").setAttribute("aria-pressed", following);
  if (!lastSelected) { return; }
  fillProperties($("properties"), selectedProperties(lastSelected, Boolean(object)));
  fillSeers(lastSelected);
}

function selectedProperties(object, present) {
  const seconds = state.time - object.time, others = (object.classes || []).filter((name) => name !== object.category);
  const rows = [
    ["identity", object.identity],
    ["class", object.category + (others.length ? ` (others say ${others.join(", ")})` : "")],
    ["score", object.score.toFixed(2)],
    ["speed", `${(3.6 * object.speed).toFixed(0)} km/h (${object.speed.toFixed(1)} m/s)`],
    ["heading", `${bearing(object.heading === undefined ? object.yaw : object.heading).toFixed(0)}°`],
    ["size", `${object.size.map((side) => side.toFixed(1)).join(" × ")} m`],
    ["position", degreesText(object.centre[0], object.centre[1]) || `${object.centre[0].toFixed(1)}, ${object.centre[1].toFixed(1)} m`],
    ["uncertainty", uncertaintyText(object)],
  ];
  if (!present) { rows.push(["seen", `${Math.max(seconds, 0).toFixed(0)} s ago; it is no longer followed`]); }
  return rows;
}

function uncertaintyText(object) {
  const apart = object.disagreement ? `nodes place it ${object.disagreement.toFixed(1)} m apart` : "";
  if (!object.covariance) { return apart || "not known"; }
  const axes = ellipseAxes(object.covariance);
  return `90 %: ± ${axes.long.toFixed(1)} m at ${(bearing(axes.angle) % 180).toFixed(0)}°, ± ${axes.short.toFixed(1)} m across${apart ? `; ${apart}` : ""}`;
}

function fillProperties(list, rows) {                 // fields are reused, so that a selection in the page is not lost
  const fields = list.children;
  while (fields.length > 2 * rows.length) { list.lastElementChild.remove(); }
  rows.forEach(([name, value], i) => {
    if (fields.length < 2 * i + 2) { list.append(document.createElement("dt"), document.createElement("dd")); }
    setText(fields[2 * i], name);
    setText(fields[2 * i + 1], value);
  });
}

function fillSeers(object) {                          // who detects it, and who has it from others
  const followers = Object.keys(object.tracks || {}), list = $("seers");
  const names = [...new Set([...object.observers, ...followers])].sort();
  const text = names.map((name) => {
    const track = object.tracks && object.tracks[name] ? `, its track ${object.tracks[name]}` : "";
    return object.observers.includes(name) ? `${name} sees it${track}` : `${name} has it from others${track}`;
  });
  while (list.children.length > names.length) { list.lastElementChild.remove(); }
  names.forEach((name, i) => {
    if (list.children.length <= i) {
      const item = document.createElement("li"), dot = document.createElement("span");
      dot.className = "swatch";
      item.append(dot, document.createElement("span"));
      list.append(item);
    }
    const item = list.children[i];
    item.classList.toggle("dim", !object.observers.includes(name));
    item.firstElementChild.style.background = colour(name);
    setText(item.lastElementChild, text[i]);
  });
}

function setText(field, text) { if (field.textContent !== text) { field.textContent = text; } }
