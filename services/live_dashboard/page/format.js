// Values, units and ages as people read them.

const UNITS = {
  Cel: "°C", "%RH": "% RH", "%EL": "%", lat: "°", lon: "°", deg: "°", count: "", "/": "", "/100": "%", "ug/m3": "µg/m³",
  "m/s2": "m/s²", m2: "m²", m3: "m³", "m3/s": "m³/s", "W/m2": "W/m²", Ohm: "Ω", kvar: "kvar", "beat/min": "/min",
};

export const QUALITIES = ["good", "uncertain", "stale", "bad"];

export function unitText(unit) {
  return UNITS[unit] ?? unit;
}

export function valueText(value, unit) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value === "string") return value;
  if (unit === "lat" || unit === "lon") return value.toFixed(5);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e12)) return value.toExponential(3);
  const decimals = size >= 1000 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4;
  return value.toFixed(decimals).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

// With its unit, as one text.
export function measured(value, unit) {
  const text = valueText(value, unit), shown = unitText(unit);
  return value === null || !shown ? text : `${text} ${shown}`;
}

export function ageText(seconds) {
  if (!(seconds >= 0)) return "";
  if (seconds < 2) return "now";
  if (seconds < 100) return `${Math.floor(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

export function clockText(seconds) {
  const date = new Date(seconds * 1000), today = new Date();
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  if (date.toDateString() === today.toDateString()) return time;
  return `${date.toLocaleDateString([], { month: "short", day: "numeric" })} ${time.slice(0, 5)}`;
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en").replace(/,/g, " ")} ${count === 1 ? one : many}`;
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// An element of a drawing.
export function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
