// Joins the parts of the page.

import { Chart } from "./chart.js";
import { Events } from "./events.js";
import { clockText, element, plural, setText } from "./format.js";
import { WorldMap } from "./map.js";
import { Outputs } from "./outputs.js";
import { Sources } from "./sources.js";
import { Store } from "./store.js";
import { follow } from "./stream.js";

const store = new Store();
const chart = new Chart(store), events = new Events(store), map = new WorldMap(store), outputs = new Outputs(store);
const sources = new Sources(store, (id) => choose(id, true));
let connection = "waiting", lostAt = 0, chosenName = location.hash.startsWith("#q=") ? decodeURIComponent(location.hash.slice(3)) : "";

function nameOf(quantity) {
  return `${quantity.source.name}/${quantity.name}`;
}

function choose(id, byHand) {
  const quantity = store.quantities.get(id);
  if (!quantity) return;
  chart.show(quantity);
  sources.choose(id);
  if (!byHand) return;
  chosenName = nameOf(quantity);
  history.replaceState(null, "", `#q=${encodeURIComponent(chosenName)}`);
  const box = document.getElementById("chart").getBoundingClientRect();
  if (box.bottom < 160 || box.top > innerHeight) document.getElementById("chart").scrollIntoView({ block: "start" });
}

// After a reconnection ids may be others: the chosen quantity is found again by its name.
function keepChosen() {
  const all = [...store.quantities.values()].sort((one, other) => one.source.name.localeCompare(other.source.name, "en") || one.id - other.id);
  const chosen = all.find((one) => nameOf(one) === chosenName) ?? store.quantities.get(chart.quantityId) ?? all.find((one) => typeof one.value === "number" && one.unit !== "lat" && one.unit !== "lon") ?? all[0];
  if (chosen) choose(chosen.id, false);
}

store.addEventListener("change", ({ detail }) => {
  sources.change(detail);
  outputs.change(detail);
  map.change(detail);
  events.change(detail);
  if (detail.whole || (detail.sources.size && (!chart.quantityId || store.quantities.get(chart.quantityId)))) keepChosen();
  if (detail.readings.has(chart.quantityId)) chart.showNow();
  if (detail.link || detail.whole) showConnection();
  if (detail.whole || detail.sources.size || detail.readings.size) showAttention();
});

function showConnection() {
  const pill = document.getElementById("connection"), lost = document.getElementById("lost");
  const [up, reason] = store.link;
  const state = connection === "live" ? (up ? "live" : "down") : connection === "lost" ? "down" : "waiting";
  pill.dataset.state = state;
  const words = { live: "Live", waiting: connection === "paused" ? "Paused" : "Connecting", down: connection === "lost" ? "Connection lost" : "Node is away" };
  setText(document.getElementById("connection-text"), words[state]);
  const text = connection === "lost" ? `No connection to this page's server since ${clockText(lostAt)}. What you see is from then. Trying again.` : up ? "" : `${reason[0].toUpperCase()}${reason.slice(1)}.`;
  setText(lost, text);
  lost.hidden = !text;
  document.body.dataset.connection = state;
}

let attentionText = null;

function showAttention() {
  const found = store.attention(), text = JSON.stringify(found.map((one) => [one.source.id, one.text]));
  if (text === attentionText) return;
  attentionText = text;
  const overall = document.getElementById("overall");
  overall.hidden = !store.sources.size;
  overall.dataset.state = found.length ? "wrong" : "ok";
  setText(overall, found.length ? `${found.length} ${found.length === 1 ? "needs" : "need"} attention` : "All sources fine");
  overall.href = found.length ? "#attention" : "#sources";
  const section = document.getElementById("attention"), list = document.getElementById("attention-list");
  section.hidden = !found.length;
  list.replaceChildren(...found.slice(0, 8).map(({ source, quantity, text: why }) => {
    const button = element("button", { type: "button" }, element("b", {}, source.name), ` – ${why}`);
    button.addEventListener("click", () => {
      if (quantity) choose(quantity.id, false);
      sources.reveal(source, quantity);
    });
    return element("li", {}, button);
  }), ...(found.length > 8 ? [element("li", {}, `and ${found.length - 8} more`)] : []));
  document.title = found.length ? `(${found.length}) ${store.status.title}` : store.status.title;
}

const THEMES = ["system", "light", "dark"];

function showTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  setText(document.getElementById("theme-text"), `Theme: ${theme}`);
  chart.recolor();
}

document.getElementById("theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(localStorage.getItem("theme") ?? "system") + 1) % THEMES.length];
  localStorage.setItem("theme", next);
  showTheme(next);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => showTheme(localStorage.getItem("theme") ?? "system"));

async function loadStatus() {
  try {
    store.status = await (await fetch("api/status")).json();
  } catch {
    return;
  }
  setText(document.getElementById("title"), store.status.title);
  if (!attentionText?.includes(",")) document.title = store.status.title;
  outputs.showLock();
}

setInterval(() => {
  sources.tick();
  chart.tick();
  const accounts = [...store.sources.values()].map((one) => one.account);
  const rate = accounts.reduce((sum, one) => sum + one.rate, 0);
  setText(document.getElementById("counts"), `${plural(store.sources.size, "source")} · ${plural(store.quantities.size, "quantity", "quantities")} · ${rate.toFixed(1)} messages/s`);
}, 1000);

showTheme(localStorage.getItem("theme") ?? "system");
loadStatus();
follow(store, (state) => {
  if (state === "lost" && connection !== "lost") lostAt = store.now();
  if (state === "live" && connection === "lost") loadStatus();
  connection = state;
  showConnection();
});
