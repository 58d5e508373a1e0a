// The event log, newest first; what matters is also spoken.

import { clockText, element } from "./format.js";

const KINDS = {
  new: ["new source", ""], restart: ["restarted", ""], gone: ["device gone", "bad"], back: ["back", "good"],
  silent: ["silent", "warn"], heard: ["heard again", "good"], gap: ["gap", "bad"], late: ["late", "warn"],
  duplicate: ["twice", "warn"], refused: ["settings refused", "bad"], accepted: ["settings good", "good"],
  command: ["command done", "good"], failed: ["command failed", "bad"], malformed: ["not readable", "warn"],
  limit: ["limit reached", "warn"], page: ["this page", ""],
};
const SPOKEN = new Set(["gone", "back", "silent", "refused", "gap"]);
const MOST_SHOWN = 200;

export class Events {
  #items = new Map();

  constructor(store) {
    this.store = store;
    this.root = document.getElementById("events-list");
  }

  change({ whole, events }) {
    if (whole) {
      this.#items.clear();
      this.root.replaceChildren();
    }
    for (const event of events) {
      this.#items.get(event.id)?.remove();
      const item = this.#make(event);
      this.#items.set(event.id, item);
      this.root.prepend(item);
      if (!whole && SPOKEN.has(event.kind)) document.getElementById("spoken").textContent = `${event.source} ${KINDS[event.kind][0]}: ${event.text}`;
    }
    while (this.root.childElementCount > MOST_SHOWN) {
      this.#items.delete(Number(this.root.lastElementChild.dataset.id));
      this.root.lastElementChild.remove();
    }
  }

  #make({ id, time, kind, source, text, count }) {
    const [word, level] = KINDS[kind] ?? [kind, ""];
    const iso = new Date(time * 1000).toISOString();
    const times = count > 1 ? element("span", { class: "muted" }, ` ×${count}`) : "";
    return element(
      "li", { "data-id": id, "data-level": level },
      element("time", { datetime: iso, title: new Date(time * 1000).toLocaleString() }, clockText(time)),
      element("p", {}, ...(source ? [element("b", {}, source), " "] : []), element("span", { class: "kind" }, word), times, element("br"), text),
    );
  }
}
