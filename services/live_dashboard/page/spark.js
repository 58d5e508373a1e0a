// Sparklines: small SVG drawings, made only while they can be seen, and at most three times a second. Not canvases: a
// browser gives each one of hundreds a layer of its own, and putting these together takes longer than drawing them.

import { shape } from "./format.js";

const DRAW_MS = 330;
const WIDTH = 72, HEIGHT = 26, PAD = 4;
const WIDE_GAP = 6;

const visible = new Set();
const dirty = new Set();

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) {
      visible.add(target);
      dirty.add(target);
    } else visible.delete(target);
  }
}, { rootMargin: "80px" });

export function makeSpark(quantity) {
  const spark = shape("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  spark.append(shape("path", { class: "on" }), shape("path", { class: "line" }), shape("path", { class: "last" }));
  spark.quantity = quantity;
  observer.observe(spark);
  return spark;
}

export function removeSpark(spark) {
  observer.unobserve(spark);
  visible.delete(spark);
  dirty.delete(spark);
}

export function touchSpark(spark) {
  if (visible.has(spark)) dirty.add(spark);
}

setInterval(() => {
  if (!dirty.size || document.hidden) return;
  requestAnimationFrame(() => {
    for (const spark of dirty) draw(spark);
    dirty.clear();
  });
}, DRAW_MS);

function draw(spark) {
  const { trail, value } = spark.quantity, [on, line, last] = spark.children;
  const points = trail.filter(([, at]) => at !== null);
  if (points.length < 2) {
    for (const path of spark.children) path.removeAttribute("d");
    return;
  }
  const first = trail[0][0], span = Math.max(trail[trail.length - 1][0] - first, 1e-9);
  let low = Infinity, high = -Infinity;
  for (const [, at] of points) {
    low = Math.min(low, at);
    high = Math.max(high, at);
  }
  const x = (time) => tenths(2 + ((time - first) / span) * (WIDTH - 7));
  const y = (at) => (high === low ? HEIGHT / 2 : tenths(HEIGHT - PAD - ((at - low) / (high - low)) * (HEIGHT - 2 * PAD)));
  const steps = typeof value === "boolean", widest = WIDE_GAP * (span / Math.max(trail.length - 1, 1)) + 2;
  let course = "", before = null;
  for (const [time, at] of trail) {
    if (at !== null) {
      const goesOn = before && time - before[0] < widest;
      if (goesOn && steps) course += `L${x(time)} ${y(before[1])}`;
      course += `${goesOn ? "L" : "M"}${x(time)} ${y(at)}`;
    }
    before = at === null ? null : [time, at];
  }
  spark.classList.toggle("steps", steps);
  line.setAttribute("d", course);
  on.setAttribute("d", steps ? statesOn(trail, x, y) : "");
  const [time, at] = points[points.length - 1];
  last.setAttribute("d", `M${x(time)} ${y(at)}h0`);
}

// What is under a state that is on.
function statesOn(trail, x, y) {
  let areas = "";
  trail.forEach(([time, at], index) => {
    const next = trail[index + 1];
    if (at === 1 && next) areas += `M${x(time)} ${y(1)}H${x(next[0])}V${HEIGHT - PAD}H${x(time)}Z`;
  });
  return areas;
}

function tenths(number) {
  return Math.round(number * 10) / 10;
}
