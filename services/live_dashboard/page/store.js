// What is known: sources and quantities as the last frames left them. Whoever draws listens for "change".

import { QUALITIES } from "./format.js";

const TRAIL_POINTS = 40;
const TRAIL_STEP_S = 1;
const MOST_EVENTS = 500;

export class Store extends EventTarget {
  sources = new Map();
  quantities = new Map();
  events = [];
  link = [true, ""];
  status = { switching: false, title: "" };
  #clockOffset = 0;

  // Seconds since 1970, by the server's clock.
  now() {
    return Date.now() / 1000 + this.#clockOffset;
  }

  // Everything anew: after the first connection and after each other one.
  reset(frame) {
    this.sources.clear();
    this.quantities.clear();
    this.events = [];
    this.apply(frame, true);
  }

  apply(frame, whole = false) {
    this.#clockOffset = frame.now - Date.now() / 1000;
    const changed = { whole, sources: new Set(), readings: new Set(), events: [], accounts: false, link: false, forgotten: [] };
    for (const source of frame.sources ?? []) {
      this.#takeSource(source);
      changed.sources.add(source.id);
    }
    for (const [id, value, rank, time, reason] of frame.readings ?? []) {
      const quantity = this.quantities.get(id);
      if (!quantity) continue;
      Object.assign(quantity, { value, quality: QUALITIES[rank], time, reason: reason ?? "" });
      extendTrail(quantity);
      changed.readings.add(id);
      if (quantity.unit === "lat") extendTrack(quantity.source, this.quantities);
    }
    for (const [id, last, rate, received, missing, duplicates, late, runs] of frame.accounts ?? []) {
      const source = this.sources.get(id);
      if (source) source.account = { last, rate, received, missing, duplicates, late, runs };
      changed.accounts = true;
    }
    for (const event of frame.events ?? []) {
      const at = this.events.findIndex((one) => one.id === event.id);
      if (at >= 0) this.events.splice(at, 1);
      this.events.push(event);
      changed.events.push(event);
    }
    this.events.splice(0, this.events.length - MOST_EVENTS);
    for (const id of frame.forgotten ?? []) {
      const source = this.sources.get(id);
      if (!source) continue;
      for (const quantity of source.quantities) this.quantities.delete(quantity.id);
      this.sources.delete(id);
      changed.forgotten.push(id);
    }
    if (frame.link) {
      this.link = frame.link;
      changed.link = true;
    }
    this.dispatchEvent(new CustomEvent("change", { detail: changed }));
  }

  #takeSource(source) {
    source.account = this.sources.get(source.id)?.account ?? { last: 0, rate: 0, received: 0, missing: 0, duplicates: 0, late: 0, runs: 0 };
    for (const quantity of source.quantities) {
      quantity.source = source;
      this.quantities.set(quantity.id, quantity);
    }
    this.sources.set(source.id, source);
  }

  // Sources and single quantities that are not as they should be, with the reason in words.
  attention() {
    const found = [];
    for (const source of this.sources.values()) {
      if (source.state === "failing") found.push({ source, text: `device gone: ${source.reason}` });
      else if (source.state === "silent") found.push({ source, text: "silent: nothing received any more" });
      else {
        const wrong = source.quantities.filter((one) => one.quality === "bad" || one.quality === "stale");
        if (wrong.length) {
          const names = wrong.slice(0, 3).map((one) => `${one.name} ${one.quality}`).join(", ");
          found.push({ source, quantity: wrong[0], text: wrong.length > 3 ? `${names} and ${wrong.length - 3} more` : names });
        }
      }
      if (source.refused) found.push({ source, text: `settings refused: ${source.refused}` });
    }
    return found;
  }
}

// As the server does it: at most one point a second, null where there is no usable value.
function extendTrail(quantity) {
  const { value, quality, time, trail } = quantity;
  if (typeof value === "string") return;
  const usable = value !== null && (quality === "good" || quality === "uncertain");
  if (quality === "stale") return;
  const point = usable ? Number(value) : null;
  const last = trail[trail.length - 1];
  if (last && time - last[0] < TRAIL_STEP_S) last[1] = point;
  else trail.push([time, point]);
  if (trail.length > TRAIL_POINTS) trail.shift();
}

function extendTrack(source, quantities) {
  if (!source.position) return;
  const [lat, lon] = source.position.map((id) => quantities.get(id));
  if (lat.quality !== "good" || lon.quality !== "good") return;
  const last = source.track[source.track.length - 1];
  if (last && lat.time - last[0] < 2) return;
  source.track.push([lat.time, lat.value, lon.value]);
  if (source.track.length > 200) source.track.shift();
}
