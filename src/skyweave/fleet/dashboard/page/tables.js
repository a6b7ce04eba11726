"use strict";
// Tables of platforms, links and objects, and the select of scenes.

const MAX_LISTED_OBJECTS = 200, LIST_SECONDS = 0.5;   // between two fillings of a long list
let listedAt = -Infinity;

function fillRows(body, contents) {                   // reuse rows, so that a selection in the page is not lost
  while (body.rows.length > contents.length) { body.deleteRow(-1); }
  contents.forEach((cells, r) => {
    const row = body.rows[r] || body.insertRow();
    cells.forEach((cell, c) => {
      const field = row.cells[c] || row.insertCell();
      if (cell.press) { fillButton(field, cell); } else { setText(field, String(cell.text)); }
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

function fillButton(field, cell) {
  const button = field.querySelector("button") || field.appendChild(document.createElement("button"));
  setText(button, String(cell.text));
  button.setAttribute("aria-pressed", Boolean(cell.pressed));
  button.onclick = cell.press;
}

function fillPlatforms(names) {
  const rows = names.map((name) => {
    const scene = state.platforms[name], seconds = age(name);
    return [
      { text: name, swatch: colour(name) },
      { text: `${seconds.toFixed(1)} s`, number: true, bad: seconds > STALE_SECONDS },
      { text: `${(1000 * scene.latency).toFixed(0)} ms`, number: true },
      { text: scene.boxes.length, number: true },
      { text: Object.keys(scene.peer_frames).length, number: true },
      { text: `${(scene.budget / 1000).toFixed(1)} kB`, number: true },
    ];
  });
  fillRows($("platforms").tBodies[0], rows);
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
  setText($("link-list").firstElementChild, `Links (${cells.length})`);
  if ($("link-list").open) { fillRows($("throughput").tBodies[0], cells); }
}

function fillObjects() {
  const objects = shownObjects().filter((object) => object.identity);
  setText($("object-list").firstElementChild, `Objects (${objects.length})`);
  if (!$("object-list").open || performance.now() - listedAt < 1000 * LIST_SECONDS) { return; }
  listedAt = performance.now();
  objects.sort((a, b) => compareNames(a.identity, b.identity));
  fillRows($("objects").tBodies[0], objects.slice(0, MAX_LISTED_OBJECTS).map((object) => [
    { text: object.identity, press: () => select(object.identity), pressed: isSelected(object) },
    { text: object.category },
    { text: (3.6 * object.speed).toFixed(0), number: true },
    { text: object.observers.length, number: true },
  ]));
}

function fillSelect(names) {
  const select = $("chosen"), values = [...new Set([COMMON, ...names, chosen])];
  if ([...select.options].map((option) => option.value).join() !== values.join()) {
    const label = (name, i) => (i > 9 ? name : `${i} ${name || "all together"}`);
    select.replaceChildren(...values.map((name, i) => new Option(label(name, i), name)));
  }
  select.value = chosen;
}
