// One trial: pictures decoded beforehand, shown for whole frames, the exposure measured.

const FIXATION_MS = 500;
const MASK_MS = 200;
const GAP = 8;
const pictures = new Map();

// Loads and decodes a picture; asked again for the same place, gives the same element.
// A catch trial may show the picture that is also its reference: two elements.
export async function preload(name, place = "stage") {
  const key = `${place} ${name}`;
  if (!pictures.has(key)) {
    const image = new Image();
    image.alt = "";
    image.draggable = false;
    image.src = `/images/${name}`;
    pictures.set(key, image.decode().then(() => image));
  }
  try {
    return await pictures.get(key);
  } catch (error) {
    pictures.delete(key); // so that a later try loads it again
    throw error;
  }
}

export function forget(trial) {
  for (const name of trial.images) pictures.delete(`stage ${name}`);
  pictures.delete(`reference ${trial.reference}`);
}

export const nextFrame = () =>
  new Promise((resolve) => requestAnimationFrame(resolve));

// CSS pixels per picture pixel, such that `count` pictures fit in a row or a column below
// `above` others: a whole number of device pixels, at most one CSS pixel; scaled down only
// if one is too many.
export function layout(width, height, count, above) {
  const ratio = window.devicePixelRatio || 1;
  const room = [window.innerWidth - 4, window.innerHeight - 210 - above * GAP];
  const gaps = (count - 1) * GAP;
  const row = Math.min(
    (room[0] - gaps) / (count * width), room[1] / ((1 + above) * height));
  const column = Math.min(
    room[0] / width, (room[1] - gaps) / ((count + above) * height));
  const best = Math.max(row, column, 0.05);
  const device = Math.floor(Math.min(best, 1) * ratio + 1e-6);
  const scale = device ? device / ratio : best;
  return { scale, column: column > row && row < scale, scaled: !device };
}

export function slot(image, scale, scaled) {
  const box = document.createElement("div");
  box.className = scaled ? "slot scaled" : "slot";
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  for (const element of [image, canvas]) {
    element.style.width = `${image.naturalWidth * scale}px`;
    element.style.height = `${image.naturalHeight * scale}px`;
  }
  const cross = document.createElement("div");
  cross.className = "cross off";
  cross.textContent = "+";
  canvas.className = image.className = "off";
  paintNoise(canvas);
  box.append(image, canvas, cross);
  return box;
}

// Overwrites the after-image of the picture.
function paintNoise(canvas) {
  const context = canvas.getContext("2d");
  const data = context.createImageData(canvas.width, canvas.height);
  const words = new Uint32Array(data.data.buffer);
  for (let i = 0; i < words.length; i++) {
    words[i] = (Math.random() * 0x1000000) | 0xff000000;
  }
  context.putImageData(data, 0, 0);
}

// Shows what `boxes` hold; null if the tab was hidden meanwhile. Times are those of
// animation frames: what changes in one is on the screen until what changes in another.
export async function expose(boxes, exposureMs, onShown) {
  const watch = watchVisibility();
  try {
    toggle(boxes, ".cross", true);
    const frameMs = await fixation();
    toggle(boxes, ".cross", false);
    const start = await nextFrame();
    toggle(boxes, "img", true);
    if (!exposureMs) return { start };
    onShown();
    let now = start;
    // The frame that ends nearest to the time asked for, even if some were dropped.
    while (now - start < exposureMs - frameMs / 2) now = await nextFrame();
    toggle(boxes, "img", false);
    toggle(boxes, "canvas", true);
    const shown = { start: now, shown_ms: now - start, frame_ms: frameMs };
    while (now - shown.start < MASK_MS - frameMs / 2) now = await nextFrame();
    toggle(boxes, "canvas", false);
    return watch.wasHidden() ? null : shown;
  } finally {
    watch.stop();
  }
}

// Waits, and measures the interval between frames by its median.
async function fixation() {
  const times = [await nextFrame()];
  while (times.at(-1) - times[0] < FIXATION_MS || times.length < 12) {
    times.push(await nextFrame());
  }
  const gaps = times.slice(1).map((time, i) => time - times[i]);
  return gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)];
}

function toggle(boxes, selector, on) {
  for (const box of boxes) {
    box.querySelector(selector).classList.toggle("off", !on);
  }
}

function watchVisibility() {
  let hidden = document.hidden;
  const note = () => { hidden = hidden || document.hidden; };
  document.addEventListener("visibilitychange", note);
  return {
    wasHidden: () => hidden,
    stop: () => document.removeEventListener("visibilitychange", note),
  };
}
