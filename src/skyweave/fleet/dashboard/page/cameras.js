"use strict";
// Images of the cameras, with the boxes of the scene that each belongs to.

const SVG = "http://www.w3.org/2000/svg";
const MIN_IMAGE_SECONDS = 0.4;                        // between two images of one camera, however many it sends
const shownCameras = new Map();

function fillCameras() {
  if (!state) { return; }
  const present = new Set();
  for (const camera of state.cameras) {
    const key = `${camera.platform}/${camera.channel}`;
    present.add(key);
    if (!shownCameras.has(key)) { shownCameras.set(key, addCamera(camera)); }
    const shown = shownCameras.get(key);
    if (shown.number !== camera.number && performance.now() - shown.askedAt > 1000 * MIN_IMAGE_SECONDS) {
      shown.number = camera.number;
      shown.askedAt = performance.now();
      shown.image.src = `/camera/${encodeURIComponent(camera.platform)}/${encodeURIComponent(camera.channel)}?${camera.number}`;
    }
    if (shown.number === camera.number) { shown.boxes = camera.boxes; }     // those of the image that is shown
    fillBoxes(shown.drawing, shown.boxes);
  }
  for (const [key, shown] of shownCameras) {
    if (!present.has(key)) { shown.figure.remove(); shownCameras.delete(key); }
  }
}

function addCamera(camera) {
  const figure = document.createElement("figure"), frame = document.createElement("div");
  const image = document.createElement("img"), caption = document.createElement("figcaption");
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 1 1");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true");
  image.alt = `Camera ${camera.channel} of ${camera.platform}`;
  caption.textContent = camera.channel === camera.platform ? camera.platform : `${camera.platform} ${camera.channel}`;
  caption.style.color = colour(camera.platform);
  frame.append(image, drawing);
  figure.append(frame, caption);
  $("cameras").append(figure);
  return { figure, image, drawing, number: 0, askedAt: -Infinity, boxes: [] };
}

function fillBoxes(drawing, boxes) {
  while (drawing.children.length > boxes.length) { drawing.lastElementChild.remove(); }
  boxes.forEach((box, i) => {
    const path = drawing.children[i] || drawing.appendChild(document.createElementNS(SVG, "path"));
    const chosenBox = selected !== null && box.identity === selected;
    path.setAttribute("d", boxPath(box.corners));
    path.setAttribute("stroke", chosenBox ? "#ffffff" : classColour(box.category));
    path.setAttribute("class", `${chosenBox ? "selected" : ""} ${box.observed ? "" : "unobserved"}`);
    path.onclick = () => { if (box.identity) { select(box.identity); } };
  });
}

function boxPath(corners) {                           // the box on the ground, the one above it, and what joins them
  const ring = (points) => `M${points.map((point) => point.join(" ")).join("L")}Z`;
  const sides = [0, 1, 2, 3].map((i) => `M${corners[i].join(" ")}L${corners[i + 4].join(" ")}`);
  return ring(corners.slice(0, 4)) + ring(corners.slice(4)) + sides.join("");
}
