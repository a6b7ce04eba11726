"use strict";
// Two maps that move together: tiles of the web mercator grid as images, without any library.

const SIDE = 256;
const MAX_ZOOM = 24;
const view = { x: 0.5, y: 0.5, zoom: 2 };  // centre in the grid, 0 to 1 from the west and the north
const maps = [];
let layers = [];

class TileMap {
  constructor(section) {
    this.element = section.querySelector(".map");
    this.select = section.querySelector("select");
    this.legend = section.querySelector(".legend");
    this.tiles = new Map();
    this.layer = null;
    this.cross = document.createElement("span");
    this.cross.className = "cross";
    this.cross.hidden = true;
    this.element.append(this.cross);
    this.select.addEventListener("change", () => this.show(layers[this.select.selectedIndex]));
    this.listen();
  }

  show(layer) {
    this.layer = layer;
    this.select.selectedIndex = layers.indexOf(layer);
    for (const image of this.tiles.values()) image.remove();
    this.tiles.clear();
    this.legend.replaceChildren(...layer.legend.map(([colour, text]) => {
      const item = document.createElement("li"), box = document.createElement("i");
      box.style.background = colour;
      item.append(box, text);
      return item;
    }));
    this.draw();
  }

  draw() {
    if (!this.layer) return;
    const { clientWidth: width, clientHeight: height } = this.element;
    const zoom = Math.max(0, Math.min(Math.round(view.zoom), MAX_ZOOM)), count = 2 ** zoom;
    const side = SIDE * 2 ** (view.zoom - zoom), scale = count * side;
    const left = view.x * scale - width / 2, top = view.y * scale - height / 2;
    const dense = window.devicePixelRatio > 1 ? "@2x" : "";
    const wanted = new Set();
    for (let row = Math.max(0, Math.floor(top / side)); row <= Math.min(count - 1, (top + height) / side); row++) {
      for (let column = Math.max(0, Math.floor(left / side)); column <= Math.min(count - 1, (left + width) / side); column++) {
        if (!this.reaches(zoom, column, row)) continue;
        const path = `/tiles/${encodeURIComponent(this.layer.name)}/${zoom}/${column}/${row}${dense}.png`;
        wanted.add(path);
        this.place(path, column * side - left, row * side - top, side);
      }
    }
    for (const [path, image] of this.tiles) {
      if (!wanted.has(path)) { image.remove(); this.tiles.delete(path); }
    }
  }

  reaches(zoom, column, row) {
    const [west, north] = toGrid(this.layer.bounds[0], this.layer.bounds[3]);
    const [east, south] = toGrid(this.layer.bounds[2], this.layer.bounds[1]);
    const count = 2 ** zoom;
    return column + 1 >= west * count && column <= east * count && row + 1 >= north * count && row <= south * count;
  }

  place(path, x, y, side) {
    let image = this.tiles.get(path);
    if (!image) {
      image = document.createElement("img");
      image.alt = "";
      image.draggable = false;
      image.hidden = true;
      image.addEventListener("load", () => { image.hidden = false; });
      image.src = path;
      this.tiles.set(path, image);
      this.element.insertBefore(image, this.cross);
    }
    const right = Math.round(x + side), bottom = Math.round(y + side);
    image.style.left = `${Math.round(x)}px`;
    image.style.top = `${Math.round(y)}px`;
    image.style.width = `${right - Math.round(x)}px`;
    image.style.height = `${bottom - Math.round(y)}px`;
  }

  listen() {
    let last = null;
    this.element.addEventListener("pointerdown", event => {
      last = event;
      this.element.setPointerCapture(event.pointerId);
    });
    this.element.addEventListener("pointermove", event => {
      const box = this.element.getBoundingClientRect();
      point(event.clientX - box.left, event.clientY - box.top, this);
      if (!last) return;
      move(last.clientX - event.clientX, last.clientY - event.clientY);
      last = event;
    });
    for (const name of ["pointerup", "pointercancel"]) this.element.addEventListener(name, () => { last = null; });
    this.element.addEventListener("pointerleave", () => { for (const map of maps) map.cross.hidden = true; });
    this.element.addEventListener("wheel", event => {
      event.preventDefault();
      const box = this.element.getBoundingClientRect();
      zoomAt(view.zoom - Math.sign(event.deltaY) * 0.5, event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2);
    }, { passive: false });
    this.element.addEventListener("keydown", event => {
      const steps = { ArrowLeft: [-80, 0], ArrowRight: [80, 0], ArrowUp: [0, -80], ArrowDown: [0, 80] };
      if (event.key in steps) move(...steps[event.key]);
      else if (event.key === "+" || event.key === "=") zoomAt(view.zoom + 1, 0, 0);
      else if (event.key === "-") zoomAt(view.zoom - 1, 0, 0);
      else return;
      event.preventDefault();
    });
  }
}

function toGrid(longitude, latitude) {
  const sine = Math.sin(Math.max(-85.0511, Math.min(85.0511, latitude)) * Math.PI / 180);
  return [longitude / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
}

function toDegrees(x, y) {
  return [(x - 0.5) * 360, Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180 / Math.PI];
}

function move(pixelsRight, pixelsDown) {
  const scale = SIDE * 2 ** view.zoom;
  view.x = Math.max(0, Math.min(1, view.x + pixelsRight / scale));
  view.y = Math.max(0, Math.min(1, view.y + pixelsDown / scale));
  draw();
}

function zoomAt(zoom, right, down) {
  const before = SIDE * 2 ** view.zoom;
  view.zoom = Math.max(0, Math.min(MAX_ZOOM, zoom));
  const after = SIDE * 2 ** view.zoom;
  view.x += right / before - right / after;
  view.y += down / before - down / after;
  draw();
}

function point(x, y, from) {
  const scale = SIDE * 2 ** view.zoom, { clientWidth: width, clientHeight: height } = from.element;
  const [longitude, latitude] = toDegrees(view.x + (x - width / 2) / scale, view.y + (y - height / 2) / scale);
  document.getElementById("place").textContent = `${latitude.toFixed(5)}, ${longitude.toFixed(5)}`;
  for (const map of maps) {
    map.cross.hidden = map === from;
    map.cross.style.left = `${x + (map.element.clientWidth - width) / 2}px`;
    map.cross.style.top = `${y + (map.element.clientHeight - height) / 2}px`;
  }
}

function fit(layer) {
  const [west, north] = toGrid(layer.bounds[0], layer.bounds[3]);
  const [east, south] = toGrid(layer.bounds[2], layer.bounds[1]);
  const { clientWidth: width, clientHeight: height } = maps[0].element;
  view.x = (west + east) / 2;
  view.y = (north + south) / 2;
  view.zoom = Math.min(MAX_ZOOM, Math.log2(Math.min(width / (east - west), height / (south - north)) / SIDE));
  draw();
}

function draw() {
  for (const map of maps) map.draw();
}

async function start() {
  const answer = await fetch("/layers");
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  layers = await answer.json();
  for (const section of document.querySelectorAll("section")) {
    const map = new TileMap(section);
    map.select.replaceChildren(...layers.map(layer => new Option(layer.title)));
    maps.push(map);
  }
  const image = layers.find(layer => layer.is_image) || layers[0];
  const other = layers.find(layer => !layer.is_image) || layers[layers.length - 1];
  fit(image);  // before anything is drawn: nobody waits for tiles of the whole Earth
  maps[0].show(image);
  maps[1].show(other);
  document.body.dataset.ready = "true";
}

document.getElementById("closer").addEventListener("click", () => zoomAt(view.zoom + 1, 0, 0));
document.getElementById("farther").addEventListener("click", () => zoomAt(view.zoom - 1, 0, 0));
document.getElementById("fit").addEventListener("click", () => fit(maps[0].layer));
window.addEventListener("resize", draw);
start().catch(error => {
  const message = document.getElementById("message");
  message.textContent = `The map cannot be shown: ${error.message}`;
  message.hidden = false;
});
