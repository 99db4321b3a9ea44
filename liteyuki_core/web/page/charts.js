/**
 * Charts of the last hour and the last day, drawn by hand.
 */

import { get } from "./api.js";
import { repeat } from "./bot.js";
import { h, say, svg, sync } from "./dom.js";
import { bytes, clock, count as number, day, delay, percent } from "./format.js";
import { t } from "./words.js";

/** @import { Figures } from "./types.js" */
/** @typedef {"memory" | "cpu" | "lag" | "messages" | "queue"} Kind */
/** @typedef {{name: string, values: (number | null)[], colour: number}} Curve */

const KINDS = /** @type {const} */ ([
  ["memory", "memory", bytes],
  ["cpu", "cpu", percent],
  ["lag", "lag", delay],
  ["messages", "messages", number],
  ["queue", "backlog", number],
]);
const MAIN = "main";
const COLOURS = 8;
const HEIGHT = 150;
const [TOP, BOTTOM, LEFT, RIGHT] = [8, 22, 56, 8];
const LEAST = 5_000;

export class Charts extends HTMLElement {
  constructor() {
    super();
    /** @type {"hour" | "day"} */
    this._span = "hour";
    /** @type {Set<string>} */
    this._hidden = new Set();
    /** @type {Figures | null} */
    this._figures = null;
    const spans = /** @type {const} */ (["hour", "day"]).map((span) =>
      h("button", {
        type: "button", "aria-pressed": span === this._span, "data-span": span,
        onclick: () => this._choose(span),
      }, t(span)));
    this._spans = h("div.choice", { role: "group", "aria-label": t("span") }, ...spans);
    this._names = h("div.names", { role: "group", "aria-label": t("processes") });
    this._none = h("p.muted", null, t("loading"));
    this._charts = KINDS.map(([kind, title, show]) => new Chart(kind, t(title), show));
    this._box = h("div.charts", null, ...this._charts.map((chart) => chart.element));
    this._resized = new ResizeObserver(() => this._draw());
  }

  connectedCallback() {
    this.append(h("div.bar", null, this._spans, this._names), this._none, this._box);
    this._resized.observe(this._box);
    this._run();
  }

  disconnectedCallback() {
    this._end?.();
    this._resized.disconnect();
    this.replaceChildren();
  }

  /** @type {(() => void) | undefined} */
  _end;

  _run() {
    this._end?.();
    const span = this._span;
    const every = Math.max(LEAST, span === "hour" ? 10_000 : 60_000);
    this._end = repeat(async () => {
      const found = /** @type {Figures} */ (await get("/figures", { span }));
      if (span !== this._span) return;
      this._figures = found;
      this._draw();
    }, every);
  }

  /** @param {"hour" | "day"} span */
  _choose(span) {
    this._span = span;
    for (const button of this._spans.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.span === span));
    }
    this._run();
  }

  _draw() {
    const found = this._figures;
    if (!found) return;
    const names = [MAIN, ...Object.keys(found.processes)];
    const empty = !found.main.memory.some((each) => each !== null);
    this._none.hidden = !empty;
    say(this._none, empty ? t("no figures") : "");
    this._box.hidden = empty;
    this._names.hidden = empty;
    sync(this._names, names, (name) => name, (name) => h("button.name", {
      type: "button", "aria-pressed": true, "aria-label": t("shown", { name }),
      onclick: () => this._toggle(name),
    }, h("i", { class: `swatch c${names.indexOf(name) % COLOURS}` }), name));
    const end = new Date(found.end);
    const count = Math.round((this._span === "hour" ? 3600 : 86400) / found.step);
    for (const chart of this._charts) {
      /** @type {Curve[]} */
      const curves = names.flatMap((name, colour) => {
        const series = name === MAIN ? found.main : found.processes[name];
        if (!series || this._hidden.has(name)) return [];
        // Before the first figure nothing is known.
        const values = series[chart.kind];
        const before = Array(Math.max(0, count - values.length)).fill(null);
        return [{ name, values: [...before, ...values], colour: colour % COLOURS }];
      });
      chart.draw(curves, end, found.step);
    }
  }

  /** @param {string} name */
  _toggle(name) {
    const hidden = this._hidden;
    if (!hidden.delete(name)) hidden.add(name);
    for (const button of this._names.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.key ?? "")));
    }
    this._draw();
  }
}

/** One chart, and beside it what the curves are now, or where somebody points. */
class Chart {
  /**
   * @param {Kind} kind
   * @param {string} title
   * @param {(value: number | null) => string} show
   */
  constructor(kind, title, show) {
    this.kind = kind;
    this._show = show;
    /** @type {Curve[]} */
    this._curves = [];
    this._end = new Date();
    this._step = 1;
    this._count = 0;
    /** @type {number | null} */
    this._pointed = null;
    this._width = 0;
    this._drawing = svg("svg", {
      class: "chart", height: HEIGHT, role: "img", tabindex: 0,
      "aria-label": t("chart label", { title }),
    });
    this._pointer = svg("line", { class: "pointer", y1: TOP, y2: HEIGHT - BOTTOM });
    this._when = h("th.right", { scope: "col" }, t("now"));
    this._body = h("tbody");
    this._values = h("table.values", null,
      h("thead", null, h("tr", null,
        h("th", { scope: "col" }, t("process")), this._when,
        h("th.right", { scope: "col" }, t("most")))),
      this._body);
    this.element = h("figure", null, h("figcaption", null, title),
      h("div.drawn", null), this._values);
    this.element.children[1]?.append(this._drawing);
    this._drawing.addEventListener("pointermove", (event) => this._move(event));
    this._drawing.addEventListener("pointerdown", (event) => this._move(event));
    this._drawing.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") this._point(null);
    });
    this._drawing.addEventListener("blur", () => this._point(null));
    this._drawing.addEventListener("keydown", (event) => this._key(event));
  }

  /**
   * @param {Curve[]} curves
   * @param {Date} end
   * @param {number} step
   */
  draw(curves, end, step) {
    this._curves = curves;
    this._end = end;
    this._step = step;
    this._count = Math.max(0, ...curves.map(({ values }) => values.length));
    const width = this._drawing.parentElement?.clientWidth ?? 0;
    if (!width) return;
    this._width = width;
    this._drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const highest = Math.max(0, ...curves.flatMap(({ values }) => values.map((each) => each ?? 0)));
    const top = nice(highest, this.kind === "memory");
    const inner = HEIGHT - TOP - BOTTOM;
    const y = (/** @type {number} */ value) => HEIGHT - BOTTOM - (value / top) * inner;
    /** @type {SVGElement[]} */
    const parts = [];
    for (const part of [0, 0.5, 1]) {
      const at = y(part * top).toFixed(1);
      parts.push(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }));
      parts.push(svg("text", { class: "label", x: LEFT - 6, y: at, "text-anchor": "end", dy: 4 },
        this._show(part * top)));
    }
    const ticks = width > 500 ? 6 : 3;
    for (let i = 0; i <= ticks; i += 1) {
      const place = (this._count - 1) * (i / ticks);
      const anchor = i === 0 ? "start" : i === ticks ? "end" : "middle";
      parts.push(svg("text", {
        class: "label", x: this._x(place), y: HEIGHT - 5, "text-anchor": anchor,
      }, clock(this._time(place)).slice(0, 5)));
    }
    for (const { values, colour } of curves) {
      parts.push(svg("path", { class: `curve c${colour}`, d: this._path(values, y) }));
    }
    this._drawing.replaceChildren(...parts, this._pointer);
    if (this._pointed !== null && this._pointed >= this._count) this._pointed = null;
    this._tell();
  }

  /**
   * @param {(number | null)[]} values
   * @param {(value: number) => number} y
   */
  _path(values, y) {
    let path = "";
    let drawn = false;
    values.forEach((value, place) => {
      if (value === null) {
        drawn = false;
        return;
      }
      const x = this._x(place).toFixed(1);
      path += `${drawn ? "L" : "M"}${x} ${y(value).toFixed(1)}`;
      // A figure between two that are not known is a point.
      const alone = !drawn && (values[place + 1] ?? null) === null;
      if (alone) path += "h0.1";
      drawn = true;
    });
    return path;
  }

  /** @param {number} place */
  _x(place) {
    const room = this._width - LEFT - RIGHT;
    return LEFT + (this._count < 2 ? room : (place / (this._count - 1)) * room);
  }

  /** @param {number} place */
  _time(place) {
    return new Date(this._end.getTime() - (this._count - 1 - place) * this._step * 1000);
  }

  /** @param {PointerEvent} event */
  _move(event) {
    const x = event.clientX - this._drawing.getBoundingClientRect().left;
    const part = (x - LEFT) / (this._width - LEFT - RIGHT);
    this._point(Math.round(Math.min(1, Math.max(0, part)) * (this._count - 1)));
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    const step = event.shiftKey ? 10 : 1;
    const from = this._pointed ?? this._count - 1;
    /** @type {Record<string, number | null>} */
    const places = {
      ArrowLeft: from - step, ArrowRight: from + step, Home: 0, End: this._count - 1, Escape: null,
    };
    const place = places[event.key];
    if (place === undefined) return;
    event.preventDefault();
    this._point(place === null ? null : Math.min(this._count - 1, Math.max(0, place)));
  }

  /** @param {number | null} place */
  _point(place) {
    this._pointed = this._count ? place : null;
    this._tell();
  }

  /** Show the values at the time that is pointed at, or of now. */
  _tell() {
    const place = this._pointed ?? this._count - 1;
    const time = this._time(place);
    const pointed = this._pointed !== null;
    this._pointer.classList.toggle("seen", pointed);
    if (pointed) {
      this._pointer.setAttribute("x1", String(this._x(place)));
      this._pointer.setAttribute("x2", String(this._x(place)));
    }
    const today = day(time) === day(new Date());
    const clocked = this._step < 60 ? clock(time) : clock(time).slice(0, 5);
    say(this._when, pointed ? (today ? clocked : `${day(time).slice(5)} ${clocked}`) : t("now"));
    sync(this._body, this._curves, ({ name }) => name,
      ({ name, colour }) => h("tr", null,
        h("th", { scope: "row" }, h("i", { class: `swatch c${colour}` }), name),
        h("td.right"), h("td.right")),
      (row, { values }) => {
        const [, now, most] = row.children;
        const known = values.filter((each) => each !== null);
        if (now) say(now, this._show(values[place] ?? null));
        if (most) say(most, this._show(known.length ? Math.max(...known) : null));
      });
  }
}

/**
 * Return a number for the top of a chart that is not below `highest`, and easy to halve.
 * @param {number} highest
 * @param {boolean} binary whether it is of bytes
 */
function nice(highest, binary) {
  if (highest <= 0) return 1;
  let unit = 1;
  if (binary) while (highest / unit >= 1024) unit *= 1024;
  const left = highest / unit;
  const power = 10 ** Math.floor(Math.log10(left));
  for (const step of [1, 2, 4, 6, 8, 10]) {
    if (left <= step * power) return step * power * unit;
  }
  return 10 * power * unit;
}
