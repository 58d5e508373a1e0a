// The course of the chosen quantity: mean with the span of each interval, and where its values were not good.

import uPlot from "./vendor/uplot.js";
import { QUALITIES, element, measured, plural, setText, unitText, valueText } from "./format.js";

const RANGES = [["1 h", 3600], ["6 h", 21600], ["24 h", 86400], ["7 d", 604800], ["30 d", 2592000]];
const AGAIN_MS = 10_000;
const STRIP = 5;
const LEAST_S = 300;

export class Chart {
  #quantity = null;
  #seconds = 3600;
  #series = null;
  #plot = null;
  #asked = 0;
  #aborting = null;

  constructor(store) {
    this.store = store;
    this.root = document.getElementById("plot");
    this.buttons = RANGES.map(([text, seconds]) => {
      const button = element("button", { type: "button", "aria-pressed": String(seconds === this.#seconds) }, text);
      button.addEventListener("click", () => this.#choose(seconds));
      return { button, seconds };
    });
    document.getElementById("ranges").append(...this.buttons.map((one) => one.button));
    new ResizeObserver(() => this.#resize()).observe(this.root);
  }

  get quantityId() {
    return this.#quantity?.id ?? 0;
  }

  show(quantity) {
    const again = this.#quantity?.id === quantity.id;
    this.#quantity = quantity;
    setText(document.getElementById("chart-title"), quantity.name);
    setText(document.getElementById("chart-source"), quantity.source.name);
    this.showNow();
    if (!again) this.#load(true);
  }

  // The latest value, beside the title and at the end of the line.
  showNow() {
    const { value, unit, quality } = this.#quantity;
    const now = document.getElementById("chart-now");
    now.replaceChildren(valueText(value, unit), element("small", {}, value === null ? quality : unitText(unit)));
    this.#draw();
  }

  // Once a second.
  tick() {
    if (this.#quantity && Date.now() - this.#asked >= AGAIN_MS) this.#load(false);
  }

  recolor() {
    this.#plot?.destroy();
    this.#plot = null;
    this.#draw();
  }

  #choose(seconds) {
    this.#seconds = seconds;
    for (const one of this.buttons) one.button.setAttribute("aria-pressed", String(one.seconds === seconds));
    if (this.#quantity) this.#load(true);
  }

  async #load(anew) {
    this.#asked = Date.now();
    const query = new URLSearchParams({ quantity: this.#quantity.id, seconds: this.#seconds });
    const csv = document.getElementById("chart-csv");
    csv.href = `api/history.csv?${query}`;
    csv.hidden = false;
    this.#aborting?.abort();
    this.#aborting = new AbortController();
    try {
      const answer = await fetch(`api/history?${query}`, { signal: this.#aborting.signal });
      if (!answer.ok) throw new Error((await answer.json()).error);
      this.#series = await answer.json();
    } catch (error) {
      if (error.name === "AbortError") return;
      if (anew) this.#series = null;
      setText(document.getElementById("chart-summary"), "The history cannot be read now");
    }
    this.#draw();
    this.#summarize();
  }

  // Columns for the plot: gaps between intervals that are apart stay gaps, and the last minute comes from the stream.
  #columns() {
    const { times, mean, low, high, worst, step } = this.#series;
    const columns = [[], [], [], [], []];
    const push = (...row) => row.forEach((cell, at) => columns[at].push(cell));
    times.forEach((time, at) => {
      if (at && time - times[at - 1] > this.#gap(step)) push(times[at - 1] + step, null, null, null, null);
      push(time + step / 2, mean[at], low[at], high[at], worst[at] || null);
    });
    const { time, value, quality, trail } = this.#quantity;
    const last = columns[0][columns[0].length - 1] ?? 0;
    if (this.#seconds === RANGES[0][1]) {
      for (const [at, number] of trail) if (at > last + step / 2) push(at, number, number, number, number === null ? 3 : null);
    } else if (time > last && typeof value === "number" && quality === "good") push(time, value, value, value, null);
    return columns;
  }

  // Sources that report now and then have intervals between which nothing came, and nothing is missing.
  #gap(step) {
    const { times } = this.#series;
    const steps = times.slice(1).map((time, at) => time - times[at]).sort((one, other) => one - other);
    return Math.max(3 * step, 3 * (steps[Math.floor(steps.length / 2)] ?? 0));
  }

  #draw() {
    if (!this.#series || this.#series.quantity !== this.#quantity?.id) return;
    const columns = this.#columns();
    if (!this.#plot) this.#plot = new uPlot(this.#options(), columns, this.root);
    else this.#plot.setData(columns, false);
    const now = this.store.now();
    // Of the last hour what there is, but five minutes at least.
    const first = Math.min(columns[0][0] ?? now, now - LEAST_S);
    const begin = this.#seconds === RANGES[0][1] ? Math.max(now - this.#seconds, first) : now - this.#seconds;
    this.#plot.batch(() => {
      this.#plot.setScale("x", { min: begin, max: now });
      this.#plot.setScale("y", this.#span(columns, now));
    });
  }

  #span([times, , low, high], now) {
    let least = Infinity, greatest = -Infinity;
    times.forEach((time, at) => {
      if (time < now - this.#seconds || low[at] === null) return;
      least = Math.min(least, low[at]);
      greatest = Math.max(greatest, high[at]);
    });
    if (least > greatest) return { min: 0, max: 1 };
    const pad = (greatest - least) * 0.08 || Math.max(Math.abs(greatest) * 0.01, 0.5);
    return { min: least - pad, max: greatest + pad };
  }

  #options() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: color("--muted"), font, grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1, size: 4 } };
    const accent = color("--accent");
    return {
      width: this.root.clientWidth || 600, height: this.root.clientHeight,
      padding: [8, 30, 0, 0], legend: { show: false }, cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      scales: { x: { time: true, auto: false }, y: { auto: false } },
      axes: [{ ...axis, values: dayTimes }, { ...axis, size: 58, values: (_, ticks) => ticks.map((tick) => valueText(Math.abs(tick) < 1e-12 ? 0 : tick, "")) }],
      series: [
        {},
        { stroke: accent, width: 2, spanGaps: false, points: { show: (plot) => plot.data[0].length < 40, size: 5 } },
        { stroke: "transparent", points: { show: false } },
        { stroke: "transparent", points: { show: false } },
        { scale: "q", stroke: "transparent", points: { show: false } },
      ],
      bands: [{ series: [3, 2], fill: `color-mix(in srgb, ${accent} 18%, transparent)` }],
      hooks: {
        setCursor: [(plot) => this.#readOut(plot)],
        draw: [(plot) => this.#drawStrip(plot, [null, color("--uncertain"), color("--stale"), color("--bad")])],
      },
    };
  }

  // The interval under the pointer, instead of the summary.
  #readOut(plot) {
    const at = plot.cursor.idx, readout = document.getElementById("chart-readout");
    const shown = at !== null && at !== undefined && plot.cursor.left >= 0;
    readout.hidden = !shown;
    document.getElementById("chart-summary").hidden = shown;
    if (!shown) return;
    const [times, mean, low, high, worst] = plot.data.map((column) => column[at]), { unit } = this.#quantity;
    const time = new Date(times * 1000).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
    const value = mean === null ? "no usable value" : low === high ? measured(mean, unit) : `${measured(mean, unit)}, from ${measured(low, unit)} to ${measured(high, unit)}`;
    setText(readout, `${time} · ${value} · ${QUALITIES[worst ?? 0]}`);
  }

  // Along the bottom: where values were uncertain, stale or bad.
  #drawStrip(plot, colors) {
    const { ctx, bbox } = plot, ratio = devicePixelRatio || 1;
    const width = Math.max((this.#series.step / this.#seconds) * bbox.width, 2 * ratio);
    plot.data[4].forEach((rank, at) => {
      const x = plot.valToPos(plot.data[0][at], "x", true);
      if (!rank || x < bbox.left || x > bbox.left + bbox.width) return;
      ctx.fillStyle = colors[rank];
      ctx.fillRect(x - width / 2, bbox.top + bbox.height - STRIP * ratio, width, STRIP * ratio);
    });
  }

  #resize() {
    this.#plot?.setSize({ width: this.root.clientWidth, height: this.root.clientHeight });
  }

  #summarize() {
    const summary = document.getElementById("chart-summary");
    if (!this.#series) return;
    const { mean, low, high, worst, step } = this.#series, { unit } = this.#quantity;
    const lows = low.filter((one) => one !== null), highs = high.filter((one) => one !== null), means = mean.filter((one) => one !== null);
    const range = RANGES.find((one) => one[1] === this.#seconds)[0];
    if (!means.length) {
      setText(summary, `Last ${range}: no usable values yet`);
      return;
    }
    const average = means.reduce((sum, one) => sum + one, 0) / means.length;
    const wrong = ["uncertain", "stale", "bad"].map((word, at) => [word, worst.filter((rank) => rank === at + 1).length]).filter(([, count]) => count);
    const words = wrong.map(([word, count]) => `${plural(count, "interval", "intervals")} ${word}`).join(", ");
    const length = step < 60 ? `${step} s` : `${step / 60} min`;
    const least = measured(lows.reduce((one, other) => Math.min(one, other)), unit), greatest = measured(highs.reduce((one, other) => Math.max(one, other)), unit);
    setText(summary, `Last ${range}: ${least} to ${greatest}, mean ${measured(average, unit)}; intervals of ${length}, ${words || "all good"}`);
  }
}

const DAY_S = 86_400;

function dayTimes(_, ticks, __, ___, step) {
  return ticks.map((tick) => {
    const date = new Date(tick * 1000);
    if (step >= DAY_S) return date.toLocaleDateString([], { month: "short", day: "numeric" });
    const second = step < 60 ? { second: "2-digit" } : {};
    const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...second, hourCycle: "h23" });
    return time === "00:00" ? date.toLocaleDateString([], { month: "short", day: "numeric" }) : time;
  });
}
