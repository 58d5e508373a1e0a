// Sparklines: small canvases, drawn only while they can be seen, and at most three times a second.

const DRAW_MS = 330;
const WIDE_GAP = 6;

const visible = new Set();
const dirty = new Set();
let colors = null;

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) {
      visible.add(target);
      dirty.add(target);
    } else visible.delete(target);
  }
}, { rootMargin: "80px" });

export function addSpark(canvas, quantity) {
  canvas.quantity = quantity;
  observer.observe(canvas);
}

export function removeSpark(canvas) {
  observer.unobserve(canvas);
  visible.delete(canvas);
  dirty.delete(canvas);
}

export function touchSpark(canvas) {
  if (visible.has(canvas)) dirty.add(canvas);
}

export function recolor() {
  colors = null;
  for (const canvas of visible) dirty.add(canvas);
}

setInterval(() => {
  if (!dirty.size || document.hidden) return;
  requestAnimationFrame(() => {
    for (const canvas of dirty) draw(canvas);
    dirty.clear();
  });
}, DRAW_MS);

// Under a state that is on.
function drawStates(context, trail, x, bottom, y) {
  context.fillStyle = colors.soft;
  context.globalCompositeOperation = "destination-over";
  trail.forEach(([time, at], index) => {
    const next = trail[index + 1];
    if (at === 1 && next) context.fillRect(x(time), y(1), x(next[0]) - x(time), bottom - y(1));
  });
  context.globalCompositeOperation = "source-over";
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return { line: read("--accent"), soft: read("--accent-soft"), bad: read("--bad"), stale: read("--stale") };
}

function draw(canvas) {
  colors ??= palette();
  const { trail, quality, value } = canvas.quantity;
  const scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const points = trail.filter(([, at]) => at !== null);
  if (points.length < 2) return;
  const first = trail[0][0], span = Math.max(trail[trail.length - 1][0] - first, 1e-9);
  let low = Infinity, high = -Infinity;
  for (const [, at] of points) {
    low = Math.min(low, at);
    high = Math.max(high, at);
  }
  const flat = high === low, pad = 4;
  const x = (time) => 2 + ((time - first) / span) * (width - 7);
  const y = (at) => (flat ? height / 2 : height - pad - ((at - low) / (high - low)) * (height - 2 * pad));
  const usual = span / Math.max(trail.length - 1, 1);
  const steps = typeof value === "boolean";
  context.strokeStyle = quality === "stale" ? colors.stale : quality === "bad" ? colors.bad : colors.line;
  context.lineWidth = steps ? 1 : 1.5;
  context.lineJoin = context.lineCap = "round";
  context.beginPath();
  let before = null;
  for (const [time, at] of trail) {
    if (at === null) before = null;
    else if (before && time - before[0] < WIDE_GAP * usual + 2) {
      if (steps) context.lineTo(x(time), y(before[1]));
      context.lineTo(x(time), y(at));
      before = [time, at];
    } else {
      context.moveTo(x(time), y(at));
      before = [time, at];
    }
  }
  context.stroke();
  if (steps) drawStates(context, trail, x, height - pad, y);
  const [time, at] = points[points.length - 1];
  context.fillStyle = context.strokeStyle;
  context.beginPath();
  context.arc(x(time), y(at), 2.2, 0, 7);
  context.fill();
}
