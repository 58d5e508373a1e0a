// Outputs: the commands that services have announced, with what is read back; locked until somebody has the token.

import { element, measured, setText, unitText } from "./format.js";

const KEY = "dashboard-token";

export class Outputs {
  #items = new Map();

  constructor(store) {
    this.store = store;
    this.section = document.getElementById("outputs");
    this.list = document.getElementById("outputs-list");
    this.dialog = document.getElementById("token-dialog");
    this.input = document.getElementById("token");
    document.getElementById("lock").addEventListener("click", () => (this.token ? this.#setToken("") : this.#ask()));
    document.getElementById("token-cancel").addEventListener("click", () => this.dialog.close());
    document.getElementById("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#unlock();
    });
  }

  get token() {
    return sessionStorage.getItem(KEY) ?? "";
  }

  change({ whole, sources, readings, forgotten }) {
    if (whole || forgotten.length) this.#clear();
    for (const source of this.store.sources.values()) {
      if (whole || sources.has(source.id) || !this.#items.has(source.id)) this.#showSource(source);
    }
    if (readings.size) for (const item of this.#items.values()) for (const one of item.commands) if (one.quantity && readings.has(one.quantity.id)) this.#showState(one);
    const some = this.#items.size > 0;
    this.section.hidden = document.getElementById("jump-outputs").hidden = !some;
    document.getElementById("lock").hidden = !some || !this.store.status.switching;
  }

  // After the status of the page is known, and whenever the lock changes.
  showLock() {
    const { switching } = this.store.status, open = switching && this.token !== "";
    setText(document.getElementById("outputs-note"), !switching ? "Read only: no token is set for this page" : open ? "Unlocked in this tab" : "Locked");
    setText(document.getElementById("lock-text"), open ? "Lock switching" : "Unlock switching");
    for (const { commands } of this.#items.values()) for (const one of commands) for (const control of one.controls) control.disabled = !switching;
    document.getElementById("lock").hidden = !this.#items.size || !switching;
  }

  #clear() {
    this.#items.clear();
    this.list.replaceChildren();
  }

  #showSource(source) {
    const known = this.#items.get(source.id), text = JSON.stringify(source.commands);
    if (!source.commands.length) {
      known?.root.remove();
      this.#items.delete(source.id);
      return;
    }
    if (known?.text === text) {
      for (const one of known.commands) {
        one.quantity = source.quantities.find((each) => each.name === one.spec.name);
        this.#showState(one);
      }
      return;
    }
    known?.root.remove();
    const commands = source.commands.map((spec) => this.#makeCommand(source, spec));
    const root = element("div", { class: "output" }, element("h3", {}, source.name), ...commands.map((one) => one.root));
    this.list.append(root);
    this.#items.set(source.id, { root, commands, text });
    for (const one of commands) this.#showState(one);
    this.showLock();
  }

  #makeCommand(source, spec) {
    const name = element("span", { class: "name" }, spec.name), state = element("span", { class: "state" });
    name.append(state);
    const result = element("p", { class: "result", role: "status" });
    const root = element("div", { class: "command", role: "group", "aria-label": `${spec.name} of ${source.name}` }, name);
    const command = { root, state, result, spec, source, controls: [], quantity: source.quantities.find((one) => one.name === spec.name) };
    const value = spec.parameters.find((one) => one.name === "value");
    const rest = spec.parameters.filter((one) => one !== value);
    const others = rest.some((one) => one.required);
    if (value?.kind === "boolean" && !others) root.append(this.#makeSwitch(command));
    else if (!spec.parameters.length) root.append(this.#makeButton(command, "Run", () => ({})));
    else if (value && !others) root.append(this.#makeForm(command, [value], true));
    if (rest.length) {
      const form = this.#makeForm(command, spec.parameters);
      root.append(element("details", {}, element("summary", {}, "More"), form));
    }
    if (spec.description) root.title = spec.description;
    root.append(result);
    return command;
  }

  #makeSwitch(command) {
    command.on = this.#makeButton(command, "On", () => ({ value: true }));
    command.on.classList.add("on");
    command.off = this.#makeButton(command, "Off", () => ({ value: false }));
    return element("div", { class: "switch" }, command.on, command.off);
  }

  #makeButton(command, text, parameters) {
    const button = element("button", { type: "button", class: "action", "aria-label": `${text}: ${command.spec.name} of ${command.source.name}` }, text);
    button.addEventListener("click", () => this.#send(command, parameters()));
    command.controls.push(button);
    return button;
  }

  // Parameters: brief leaves the only field's name to screen readers.
  #makeForm(command, parameters, brief = false) {
    const fields = parameters.map((one) => [one, makeField(one)]);
    const button = element("button", { type: "submit", class: "action" }, "Set");
    const label = ([{ name, unit }, field]) => {
      if (brief) return element("label", {}, element("span", { class: "hidden" }, `${command.spec.name} ${name}`), field, unitText(unit));
      return element("label", {}, unit ? `${name} (${unitText(unit)})` : name, field);
    };
    const form = element("form", {}, ...fields.map(label), button);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = fields.map(([one, field]) => [one.name, read(one, field)]).filter(([, value]) => value !== null);
      this.#send(command, Object.fromEntries(given));
    });
    command.controls.push(button, ...fields.map(([, field]) => field));
    return form;
  }

  #showState({ quantity, state, on, off }) {
    if (!quantity) return;
    const known = quantity.quality === "good" || quantity.quality === "uncertain";
    setText(state, known ? `is ${measured(quantity.value, quantity.unit)}` : `${quantity.quality}: ${quantity.reason}`);
    on?.setAttribute("aria-pressed", String(known && Boolean(quantity.value)));
    off?.setAttribute("aria-pressed", String(known && !quantity.value));
  }

  async #send(command, parameters) {
    if (!this.token) {
      this.#waiting = () => this.#send(command, parameters);
      this.#ask();
      return;
    }
    const say = (text, ok) => {
      command.result.dataset.ok = ok;
      setText(command.result, text);
    };
    say("sent …", "");
    try {
      const answer = await this.#post({ source: command.source.id, command: command.spec.name, parameters });
      const body = await answer.json();
      if (answer.status === 401) {
        this.#setToken("");
        say(body.error, false);
      } else if (!answer.ok) say(body.error, false);
      else say(`${body.ok ? "" : "failed: "}${body.detail || "done"}${readBack(body.readings)}`, body.ok);
    } catch {
      say("The page's server does not answer", false);
    }
  }

  #waiting = null;

  #post(body) {
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${this.token}` };
    return fetch("api/commands", { method: "POST", headers, body: JSON.stringify(body) });
  }

  #ask() {
    setText(document.getElementById("token-error"), "");
    this.input.value = "";
    this.dialog.showModal();
  }

  async #unlock() {
    const answer = await fetch("api/token", { method: "POST", headers: { Authorization: `Bearer ${this.input.value.trim()}` } });
    if (!answer.ok) {
      setText(document.getElementById("token-error"), (await answer.json()).error);
      return;
    }
    this.#setToken(this.input.value.trim());
    this.dialog.close();
    this.#waiting?.();
    this.#waiting = null;
  }

  #setToken(token) {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
    this.showLock();
  }
}

function makeField({ name, kind, range, choices, required, description }) {
  const title = description || name;
  if (choices.length || kind === "boolean") {
    const options = choices.length ? choices : [true, false];
    const texts = options.map((one) => (typeof one === "boolean" ? (one ? "on" : "off") : String(one)));
    return element("select", { required, title }, ...(required ? [] : [element("option", { value: "" }, "–")]), ...options.map((one, at) => element("option", { value: JSON.stringify(one) }, texts[at])));
  }
  if (kind === "text" || kind === "any") return element("input", { type: "text", required, title, maxlength: 1000 });
  return element("input", { type: "number", step: kind === "integer" ? 1 : "any", min: range?.[0], max: range?.[1], required, title });
}

function read({ kind, choices }, field) {
  if (field.value === "") return null;
  if (choices.length || kind === "boolean") return JSON.parse(field.value);
  if (kind === "text") return field.value;
  if (kind === "any") return field.value.trim() !== "" && Number.isFinite(Number(field.value)) ? Number(field.value) : field.value;
  return Number(field.value);
}

function readBack(pack) {
  if (!Array.isArray(pack) || !pack.length) return "";
  const texts = pack.slice(0, 5).map((one) => `${one.n ?? ""} ${measured(one.v ?? one.vb ?? (one.vs || null), one.u ?? "")}`.trim());
  return ` – ${texts.join(", ")}`;
}
