"use strict";
// What lies beneath: tiles of the base map, or of the fleet's mosaic, in the map's own metres.

const TILE_PIXELS = 256, MAX_TILES = 300;
const MIN_TILE_SECONDS = 1;                       // between two versions of one tile: the mosaic changes with every image
const tiles = new Map();                          // "level/column/row" -> { image, version, next, askedAt }

function drawGround(width, height) {
  const ground = state && state.ground;
  setText($("credit"), (ground && $("ground").checked && ground.credit) || "");
  if (!ground || !$("ground").checked) { return; }
  const level = Math.min(Math.max(Math.round(Math.log2(1 / viewport.scale)), ground.levels[0]), ground.levels[1]);
  const size = TILE_PIXELS * 2 ** level;              // metres
  const [west, north] = toWorld(0, 0), [east, south] = toWorld(width, height);
  const bounds = ground.bounds;
  const columns = [Math.floor(Math.max(west, bounds[0]) / size), Math.floor(Math.min(east, bounds[2]) / size)];
  const rows = [Math.floor(Math.max(south, bounds[1]) / size), Math.floor(Math.min(north, bounds[3]) / size)];
  if ((columns[1] - columns[0] + 1) * (rows[1] - rows[0] + 1) > MAX_TILES / 2) { return; }
  context.globalAlpha = 0.85;
  for (let row = rows[0]; row <= rows[1]; row++) {
    for (let column = columns[0]; column <= columns[1]; column++) {
      const image = tileImage(level, column, row, ground.version);
      if (!image) { continue; }
      const [u, v] = toCanvas(column * size, (row + 1) * size);
      const [right, lower] = toCanvas((column + 1) * size, row * size);
      context.drawImage(image, Math.round(u), Math.round(v), Math.round(right) - Math.round(u), Math.round(lower) - Math.round(v));
    }
  }
  context.globalAlpha = 1;
}

function tileImage(level, column, row, version) {     // the newest that has come; a newer one is asked for
  const key = `${level}/${column}/${row}`;
  const tile = tiles.get(key) || { image: null, version: -1, next: null, askedAt: -Infinity };
  tiles.delete(key);
  tiles.set(key, tile);                               // the one used last at the end
  if (tiles.size > MAX_TILES) { tiles.delete(tiles.keys().next().value); }
  if (tile.version !== version && !tile.next && performance.now() - tile.askedAt > 1000 * MIN_TILE_SECONDS) {
    tile.askedAt = performance.now();
    const image = tile.next = new Image();
    const done = () => { tile.next = null; tile.version = version; };
    image.onload = () => { done(); tile.image = image; drawSoon(); };
    image.onerror = done;
    image.src = `/ground/${key}?${version}`;
  }
  return tile.image;
}
