// One card a source, one row a quantity. Only what is new is touched; what cannot be seen is not laid out.

import { ageText, element, plural, setText, unitText, valueText } from "./format.js";
import { makeSpark, removeSpark, touchSpark } from "./spark.js";

const SHOWN_ROWS = 10;
const STATES = { ok: "ok", failing: "device gone", silent: "silent" };

// Parameters: store; chosen(id) is called with the quantity that somebody chooses.
// A name whose lines end after an underscore, where it is too long for one.
function broken(name) {
  return name.split(/(?<=_)/).flatMap((part, at) => (at ? [document.createElement("wbr"), part] : [part]));
}

export class Sources {
  #cards = new Map();
  #rows = new Map();
  #visible = new Set();
  #chosen = 0;

  constructor(store, chosen) {
    this.store = store;
    this.root = document.getElementById("cards");
    this.filter = document.getElementById("filter");
    this.onlyAttention = document.getElementById("only-attention");
    this.filter.addEventListener("input", () => this.#applyFilter());
    this.onlyAttention.addEventListener("change", () => this.#applyFilter());
    this.root.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) chosen(Number(row.dataset.id));
    });
    this.root.addEventListener("keydown", (event) => this.#moveFocus(event));
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) this.#visible[isIntersecting ? "add" : "delete"](Number(target.dataset.id));
      this.tick();
    }, { rootMargin: "100px" });
  }

  change({ whole, sources, readings, accounts, forgotten }) {
    if (whole) this.#clear();
    for (const id of forgotten) this.#remove(id);
    for (const id of sources) this.#showSource(this.store.sources.get(id));
    for (const id of readings) this.#showReading(this.store.quantities.get(id));
    if (accounts) for (const id of this.#visible) this.#showAccount(this.store.sources.get(id));
    if (whole || sources.size || forgotten.length) {
      this.#sort();
      this.#applyFilter();
    }
  }

  choose(id) {
    this.#rows.get(this.#chosen)?.row.setAttribute("aria-pressed", "false");
    this.#chosen = id;
    this.#rows.get(id)?.row.setAttribute("aria-pressed", "true");
  }

  reveal(source, quantity) {
    this.filter.value = "";
    this.onlyAttention.checked = false;
    this.#applyFilter();
    const card = this.#cards.get(source.id);
    if (!card) return;
    card.unfolded = card.unfolded || Boolean(quantity);
    this.#fold(card);
    const row = (quantity && this.#rows.get(quantity.id)?.row) || card.root.querySelector(".row");
    (row ?? card.root).scrollIntoView({ block: "center" });
    row?.focus({ preventScroll: true });
  }

  // Once a second: ages.
  tick() {
    const now = this.store.now();
    for (const id of this.#visible) {
      for (const quantity of this.store.sources.get(id)?.quantities ?? []) {
        const row = this.#rows.get(quantity.id);
        if (row) setText(row.age, ageText(now - quantity.time));
      }
    }
  }

  #clear() {
    for (const id of [...this.#cards.keys()]) this.#remove(id);
  }

  #remove(id) {
    const card = this.#cards.get(id);
    if (!card) return;
    for (const row of card.rows) this.#dropRow(row);
    this.observer.unobserve(card.root);
    this.#visible.delete(id);
    card.root.remove();
    this.#cards.delete(id);
  }

  #dropRow(id) {
    const row = this.#rows.get(id);
    if (!row) return;
    removeSpark(row.spark);
    row.row.remove();
    this.#rows.delete(id);
  }

  #showSource(source) {
    const card = this.#cards.get(source.id) ?? this.#makeCard(source);
    card.root.dataset.state = source.state;
    card.chip.dataset.state = source.state;
    setText(card.chip, STATES[source.state]);
    setText(card.service, [source.service, source.version].filter(Boolean).join(" ") || "no announcement");
    card.service.hidden = !source.service;
    const why = source.state === "failing" ? source.reason : source.refused ? `settings refused: ${source.refused}` : "";
    setText(card.why, why);
    card.why.hidden = !why;
    const ids = source.quantities.map((one) => one.id);
    for (const id of card.rows.filter((one) => !ids.includes(one))) this.#dropRow(id);
    card.rows = ids;
    for (const quantity of source.quantities) {
      const known = this.#rows.get(quantity.id);
      const row = known ?? this.#makeRow(quantity);
      row.spark.quantity = quantity;
      if (!known) this.#append(card, quantity, row.row);
      this.#showReading(quantity);
    }
    this.#fold(card);
    this.#showAccount(source);
  }

  // Of a source with many quantities the first ones, and the rest when somebody asks for it.
  #fold(card) {
    const all = [...card.list.querySelectorAll(".row")], folds = all.length > SHOWN_ROWS + 2;
    all.forEach((row, at) => (row.hidden = folds && !card.unfolded && at >= SHOWN_ROWS));
    for (const rows of card.groups.values()) rows.hidden = !rows.querySelector(".row:not([hidden])");
    card.more.hidden = !folds;
    card.more.setAttribute("aria-expanded", String(card.unfolded));
    setText(card.more, card.unfolded ? "Show fewer" : `Show ${all.length - SHOWN_ROWS} more`);
  }

  // Quantities of one part of a device, as `meter1/voltage`, stand under its name.
  #append(card, quantity, row) {
    const group = quantity.name.includes("/") ? quantity.name.slice(0, quantity.name.lastIndexOf("/")) : "";
    let rows = card.groups.get(group);
    if (!rows) {
      rows = element("div", group ? { role: "group", "aria-label": group } : {});
      card.groups.set(group, rows);
      if (group) rows.append(element("p", { class: "group", "aria-hidden": "true" }, group));
      card.list[group ? "append" : "prepend"](rows);
    }
    rows.append(row);
  }

  #makeCard(source) {
    const chip = element("span", { class: "chip" });
    const title = element("h3", { id: `source-${source.id}`, title: source.publisher ? `${source.name} (${source.publisher})` : source.name }, source.name || "(no name)");
    const service = element("span"), why = element("span", { class: "why" });
    const list = element("div", { class: "rows" }), foot = element("p", { class: "card-foot muted small" });
    const more = element("button", { class: "quiet more", type: "button" });
    const root = element(
      "article", { class: "card", "data-id": source.id, "aria-labelledby": `source-${source.id}` },
      element("div", { class: "card-head" }, title, chip),
      element("p", { class: "card-note muted small" }, service, why),
      list, more, foot,
    );
    const card = { root, chip, service, why, list, more, foot, rows: [], groups: new Map(), unfolded: false };
    more.addEventListener("click", () => {
      card.unfolded = !card.unfolded;
      this.#fold(card);
    });
    this.#cards.set(source.id, card);
    this.root.append(root);
    this.observer.observe(root);
    return card;
  }

  #makeRow(quantity) {
    const name = element("span", { class: "name", title: quantity.name }, ...broken(quantity.name.slice(quantity.name.lastIndexOf("/") + 1)));
    const spark = makeSpark(quantity);
    const number = element("span"), unit = element("small");
    const value = element("span", { class: "value" }, number, unit);
    const age = element("span", { class: "age" }), why = element("span", { class: "why" });
    const row = element(
      "button", { class: "row", type: "button", "data-id": quantity.id, "aria-pressed": String(quantity.id === this.#chosen) },
      name, spark, value, age, why,
    );
    const made = { row, spark, number, unit, age, why };
    this.#rows.set(quantity.id, made);
    return made;
  }

  #showReading(quantity) {
    const row = this.#rows.get(quantity?.id);
    if (!row) return;
    setText(row.number, valueText(quantity.value, quantity.unit));
    setText(row.unit, quantity.value === null ? "" : unitText(quantity.unit));
    if (row.row.dataset.quality !== quantity.quality || row.reason !== quantity.reason) {
      row.row.dataset.quality = quantity.quality;
      row.reason = quantity.reason;
      const good = quantity.quality === "good";
      row.why.replaceChildren(...(good ? [] : [element("b", {}, quantity.quality), quantity.reason ? `: ${quantity.reason}` : ""]));
      row.why.hidden = good;
    }
    if (this.#visible.has(quantity.source.id)) setText(row.age, ageText(this.store.now() - quantity.time));
    touchSpark(row.spark);
  }

  #showAccount(source) {
    const card = source && this.#cards.get(source.id);
    if (!card) return;
    const { rate, received, missing, duplicates, late } = source.account;
    const text = [`${rate.toFixed(1)} messages/s`, `${plural(received, "received", "received")}`];
    const lost = missing > 0 ? element("span", { class: "bad" }, `${plural(missing, "missing", "missing")}`) : "0 missing";
    const more = [`${duplicates} twice`, ...(late ? [`${late} late`] : [])];
    card.foot.replaceChildren(`${text.join(" · ")} · `, lost, ` · ${more.join(" · ")}`);
  }

  #sort() {
    const order = [...this.store.sources.values()].sort((one, other) => one.name.localeCompare(other.name, "en", { numeric: true }) || one.id - other.id);
    let at = this.root.firstElementChild;
    for (const source of order) {
      const card = this.#cards.get(source.id);
      if (card.root === at) at = at.nextElementSibling;
      else this.root.insertBefore(card.root, at);
    }
  }

  #applyFilter() {
    const words = this.filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const wrong = this.onlyAttention.checked ? new Set(this.store.attention().map((one) => one.source.id)) : null;
    let shown = 0;
    for (const [id, card] of this.#cards) {
      const source = this.store.sources.get(id);
      const text = [source.name, source.service, ...source.quantities.map((one) => one.name)].join(" ").toLowerCase();
      const fits = words.every((word) => text.includes(word)) && (!wrong || wrong.has(id));
      card.root.hidden = !fits;
      shown += fits;
    }
    const all = this.store.sources.size;
    setText(document.getElementById("sources-count"), shown === all ? plural(all, "source") : `${shown} of ${plural(all, "source")}`);
    document.getElementById("empty").hidden = all > 0;
  }

  // Arrow keys go from row to row, through all cards.
  #moveFocus(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest?.(".row");
    if (!step || !row) return;
    const rows = [...this.root.querySelectorAll(".card:not([hidden]) .row:not([hidden])")];
    rows[rows.indexOf(row) + step]?.focus();
    event.preventDefault();
  }
}
