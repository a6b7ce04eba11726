"use strict";
// Events and alarms: those that stand first, then the newest. An alarm stays on top until it is over or acknowledged.

const MAX_SHOWN_EVENTS = 60;
const acknowledged = new Set();                   // numbers of alarms
let shownEvents = "";

function fillEvents() {
  const alarms = state.events.filter((event) => event.standing && event.severity === "alarm");
  const open = alarms.filter((event) => !acknowledged.has(event.number));
  $("alarm").hidden = !open.length;
  setText($("alarm-text"), open.map((event) => event.text).join("; "));
  document.title = open.length ? `(${open.length}) Skyweave ${state.fleet}: alarm` : `Skyweave ${state.fleet}`;
  const events = [...state.events.filter((event) => event.standing), ...state.events.filter((event) => !event.standing)].slice(0, MAX_SHOWN_EVENTS);
  const key = events.map((event) => `${event.number} ${event.count} ${event.standing}`).join();
  if (key === shownEvents) { return; }
  shownEvents = key;
  $("events").replaceChildren(...events.map(eventItem));
}

function eventItem(event) {
  const item = document.createElement("li"), time = document.createElement("time"), text = document.createElement("span");
  item.className = `${event.severity}${event.standing ? " standing" : ""}`;
  time.textContent = new Date(event.time * 1000).toISOString().slice(11, 19);
  const over = event.ended && !event.standing ? `; over after ${Math.max(event.ended - event.time, 0).toFixed(0)} s` : "";
  text.textContent = `${event.standing ? `${event.severity}: ` : ""}${event.text}${event.count > 1 ? ` (${event.count} times)` : ""}${over}`;
  item.append(time, text);
  if (state.replay) {
    item.tabIndex = 0;
    item.title = "go there";
    item.onclick = () => seek(event.time - 1);
    item.onkeydown = (pressed) => { if (pressed.key === "Enter") { seek(event.time - 1); } };
  }
  return item;
}

function acknowledge() {
  for (const event of state ? state.events : []) { if (event.standing) { acknowledged.add(event.number); } }
  if (state) { fillEvents(); }
}
