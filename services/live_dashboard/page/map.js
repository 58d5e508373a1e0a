// Where sources are, on outlines of the world's land: no tiles, nothing from elsewhere.

import { element, setText, shape } from "./format.js";

const LEAST_SPAN = 0.01;
const ASPECT = 16 / 10;

// TopoJSON (world-atlas): arcs are quantized and delta-encoded; a negative index is an arc backwards. Rings go on beyond
// the date line, and are drawn once more on the other side; one around a pole is closed along it.
function landPath({ transform, arcs, objects }) {
  const { scale: [sx, sy], translate: [tx, ty] } = transform;
  const lines = arcs.map((arc) => {
    let x = 0, y = 0;
    return arc.map(([dx, dy]) => [((x += dx) * sx + tx), -((y += dy) * sy + ty)]);
  });
  const ring = (indices) => indices.flatMap((index) => (index < 0 ? lines[~index].toReversed() : lines[index]));
  const text = (points, shift) => `M${points.map(([x, y]) => `${(x + shift).toFixed(2)} ${y.toFixed(2)}`).join("L")}Z`;
  return objects.land.geometries.flatMap((one) => one.arcs.flat()).map((indices) => {
    const points = unrolled(ring(indices)), xs = points.map(([x]) => x);
    const shifts = [0, ...(Math.max(...xs) > 180 ? [-360] : []), ...(Math.min(...xs) < -180 ? [360] : [])];
    return shifts.map((shift) => text(points, shift)).join("");
  }).join("");
}

function unrolled(points) {
  let turns = 0;
  const found = points.map(([x, y], at) => {
    const step = at ? x - points[at - 1][0] : 0;
    if (Math.abs(step) > 180) turns -= 360 * Math.sign(step);
    return [x + turns, y];
  });
  const [first] = found, last = found[found.length - 1];
  if (Math.abs(last[0] - first[0]) > 180) {
    const pole = 90 * Math.sign(first[1]);
    found.push([last[0], pole], [first[0], pole]);
  }
  return found;
}

export class WorldMap {
  #view = { x: 0, y: 0, width: 360 };
  #fitted = true;
  #marks = new Map();
  #loaded = false;

  constructor(store) {
    this.store = store;
    this.svg = document.getElementById("world");
    this.list = document.getElementById("map-list");
    this.layers = ["grid", "land", "track", "mark"].map((name) => shape("g", { "data-layer": name }));
    this.svg.append(...this.layers);
    const zoom = (factor) => () => this.#zoom(factor);
    document.getElementById("map-in").addEventListener("click", zoom(0.5));
    document.getElementById("map-out").addEventListener("click", zoom(2));
    document.getElementById("map-fit").addEventListener("click", () => this.#fit());
    document.getElementById("map-world").addEventListener("click", () => this.#look({ x: 0, y: 0, width: 360 }, false));
    this.svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.#zoom(event.deltaY > 0 ? 1.25 : 0.8);
    }, { passive: false });
    this.#drag();
  }

  change({ whole, sources, readings, forgotten }) {
    if (whole || forgotten.length) this.#clear();
    const placed = [...this.store.sources.values()].filter((one) => one.position);
    document.getElementById("map").hidden = document.getElementById("jump-map").hidden = !placed.length;
    if (!placed.length) return;
    if (!this.#loaded) this.#load();
    let moved = whole;
    for (const source of placed) {
      if (!whole && this.#marks.has(source.id) && !sources.has(source.id) && !readings.has(source.position[0])) continue;
      moved = this.#place(source) || moved;
    }
    if (moved && this.#fitted) this.#fit();
  }

  async #load() {
    this.#loaded = true;
    for (let degrees = -180; degrees <= 180; degrees += 30) {
      this.layers[0].append(shape("path", { class: "grid", d: `M${degrees} -90V90` }));
      if (Math.abs(degrees) <= 60) this.layers[0].append(shape("path", { class: "grid", d: `M-180 ${degrees}H180` }));
    }
    const answer = await fetch("page/vendor/land-110m.json");
    this.layers[1].append(shape("path", { class: "land", d: landPath(await answer.json()) }));
  }

  #clear() {
    this.#marks.clear();
    this.layers[2].replaceChildren();
    this.layers[3].replaceChildren();
    this.list.replaceChildren();
  }

  // Marks a source; whether it was not marked before.
  #place(source) {
    const [lat, lon] = source.position.map((id) => this.store.quantities.get(id));
    const good = typeof lat?.value === "number" && typeof lon?.value === "number";
    const last = source.track[source.track.length - 1];
    const at = good ? [lat.value, lon.value] : last ? last.slice(1) : null;
    if (!at) return false;
    let mark = this.#marks.get(source.id);
    const isNew = !mark;
    if (isNew) {
      mark = { track: shape("path", { class: "track" }), dot: shape("circle", { class: "place" }), label: shape("text", {}), item: element("li", {}, element("span"), element("span", { class: "muted" })) };
      mark.label.textContent = source.name;
      this.layers[2].append(mark.track);
      this.layers[3].append(mark.dot, mark.label);
      this.list.append(mark.item);
      this.#marks.set(source.id, mark);
    }
    mark.at = at;
    mark.track.setAttribute("d", source.track.map(([, y, x], index) => `${index ? "L" : "M"}${x} ${-y}`).join(""));
    mark.dot.dataset.quality = lat.quality;
    const [name, where] = mark.item.children;
    setText(name, source.name);
    setText(where, `${coordinate(at[0], "N", "S")}, ${coordinate(at[1], "E", "W")}${lat.quality === "good" ? "" : ` (${lat.quality}, last known)`}`);
    this.#draw(mark);
    return isNew;
  }

  #draw(mark) {
    const unit = this.#view.width / (this.svg.clientWidth || 360), [lat, lon] = mark.at;
    for (const [name, value] of Object.entries({ cx: lon, cy: -lat, r: 6 * unit, "stroke-width": 2.5 * unit })) mark.dot.setAttribute(name, value);
    const left = lon > this.#view.x + this.#view.width * 0.25;
    for (const [name, value] of Object.entries({ x: lon + (left ? -10 : 10) * unit, y: -lat + 4.5 * unit, "font-size": 13 * unit, "stroke-width": 4 * unit, "text-anchor": left ? "end" : "start" })) mark.label.setAttribute(name, value);
  }

  #look(view, fitted) {
    this.#fitted = fitted;
    const width = Math.min(Math.max(view.width, LEAST_SPAN), 400);
    this.#view = { x: Math.min(Math.max(view.x, -180), 180), y: Math.min(Math.max(view.y, -90), 90), width };
    const height = width / ASPECT;
    this.svg.setAttribute("viewBox", `${this.#view.x - width / 2} ${this.#view.y - height / 2} ${width} ${height}`);
    for (const mark of this.#marks.values()) this.#draw(mark);
  }

  #zoom(factor) {
    this.#look({ ...this.#view, width: this.#view.width * factor }, false);
  }

  // All positions with some of the country around them.
  #fit() {
    const points = [...this.#marks.values()].map((mark) => mark.at);
    if (!points.length) return;
    const xs = points.map(([, lon]) => lon), ys = points.map(([lat]) => -lat);
    const span = (values) => Math.max(...values) - Math.min(...values);
    const middle = (values) => (Math.max(...values) + Math.min(...values)) / 2;
    const width = Math.max(span(xs) * 1.6, span(ys) * 1.6 * ASPECT, 40);
    this.#look({ x: middle(xs), y: middle(ys), width }, true);
  }

  #drag() {
    let from = null;
    this.svg.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX, y: event.clientY, view: this.#view };
      this.svg.setPointerCapture(event.pointerId);
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!from) return;
      const unit = from.view.width / this.svg.clientWidth;
      this.#look({ x: from.view.x - (event.clientX - from.x) * unit, y: from.view.y - (event.clientY - from.y) * unit, width: from.view.width }, false);
    });
    for (const name of ["pointerup", "pointercancel"]) this.svg.addEventListener(name, () => (from = null));
  }
}

function coordinate(degrees, positive, negative) {
  return `${Math.abs(degrees).toFixed(4)}° ${degrees < 0 ? negative : positive}`;
}
