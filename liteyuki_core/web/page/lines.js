/**
 * A list of very many lines, of which only those that are seen are in the page.
 *
 * Heights are guessed from the number of letters, and corrected when a line is seen. What is seen
 * stays where it is while lines are added, dropped or corrected above it.
 */

import { h } from "./dom.js";
import { bytes, clock, day } from "./format.js";
import { sheet } from "./dialog.js";
import { t } from "./words.js";

/** @import { Line } from "./types.js" */
/** @typedef {{line: Line, day: string, note: ""} | {line: null, day: "", note: string}} Row */

/** So much above and below is in the page too, in pixels. */
const BEYOND = 400;
/** So near to an end, more is asked for. */
const NEAR = 600;
const AT_END = 8;
/** Letters of one line that are shown in the list. */
const LONGEST = 4_000;
/** Below this width a line has no columns. */
export const NARROW = 700;
const COLUMNS = 31;

const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]/g;
/** The time and the level with which a line begins, which stand in columns of their own. */
const BEGINNING = /^(?:\d{4}-)?\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?\s+\[[^\][]{1,12}\]\s?/;

/** Heights of rows, whose sums are found in a few steps: a Fenwick tree. */
export class Heights {
  constructor() {
    this.length = 0;
    this._each = new Float64Array(1024);
    this._tree = new Float64Array(1025);
  }

  /** @param {ArrayLike<number>} heights */
  reset(heights) {
    this.length = 0;
    const room = Math.max(1024, heights.length * 2);
    this._each = new Float64Array(room);
    this._tree = new Float64Array(room + 1);
    for (let i = 0; i < heights.length; i += 1) this.push(heights[i] ?? 0);
  }

  /** @param {number} height */
  push(height) {
    if (this.length === this._each.length) {
      const each = new Float64Array(this.length * 2);
      const tree = new Float64Array(this.length * 2 + 1);
      each.set(this._each);
      tree.set(this._tree);
      [this._each, this._tree] = [each, tree];
    }
    this._each[this.length] = height;
    this.length += 1;
    let sum = height;
    const low = this.length & -this.length;
    for (let step = 1; step < low; step *= 2) sum += this._tree[this.length - step] ?? 0;
    this._tree[this.length] = sum;
  }

  /** @param {number} place */
  at(place) {
    return this._each[place] ?? 0;
  }

  /**
   * @param {number} place
   * @param {number} height
   */
  set(place, height) {
    const more = height - this.at(place);
    this._each[place] = height;
    for (let i = place + 1; i <= this.length; i += i & -i) {
      this._tree[i] = (this._tree[i] ?? 0) + more;
    }
  }

  /**
   * Return the height of the first rows together.
   * @param {number} places
   */
  above(places) {
    let sum = 0;
    for (let i = places; i > 0; i -= i & -i) sum += this._tree[i] ?? 0;
    return sum;
  }

  /**
   * Return which row is at a height, the last one below all.
   * @param {number} y
   */
  find(y) {
    let place = 0;
    let left = y;
    let step = 1;
    while (step * 2 <= this.length) step *= 2;
    for (; step > 0; step >>= 1) {
      const next = place + step;
      if (next <= this.length && (this._tree[next] ?? 0) <= left) {
        place = next;
        left -= this._tree[next] ?? 0;
      }
    }
    return Math.min(place, Math.max(0, this.length - 1));
  }

  /** @returns {number[]} */
  all() {
    return Array.from(this._each.subarray(0, this.length));
  }
}

/**
 * The list. It tells `follow` when it begins or ends to follow, `top` and `bottom` when somebody
 * comes near to an end, and `moment` when somebody wants a link to a line.
 */
export class LineList extends HTMLElement {
  constructor() {
    super();
    /** @type {Row[]} */
    this._rows = [];
    this._heights = new Heights();
    /** @type {Map<Row, HTMLElement>} */
    this._shown = new Map();
    this._first = 0;
    this._following = true;
    /** Whether it follows once somebody has scrolled to its end. */
    this.mayFollow = true;
    this._lastTop = 0;
    this._width = 0;
    this._drawing = false;
    this._marked = "";
    /** @type {Row | null} */
    this._target = null;
    this.head = h("div.edge");
    this.foot = h("div.edge");
    this._window = h("div.window");
    this._sizer = h("div.sizer", null, this._window);
    this._ruler = h("span.ruler", { "aria-hidden": true }, "0".repeat(50));
    this._resized = new ResizeObserver(() => this._resize());
  }

  connectedCallback() {
    this.tabIndex = 0;
    this.setAttribute("role", "log");
    this.setAttribute("aria-live", "off");
    this.setAttribute("aria-label", t("lines of the log"));
    this.replaceChildren(this.head, this._sizer, this.foot, this._ruler);
    this.addEventListener("scroll", () => this._scrolled(), { passive: true });
    this.addEventListener("click", (event) => this._clicked(event));
    this._resized.observe(this);
  }

  disconnectedCallback() {
    this._resized.disconnect();
  }

  /** How many rows there are. */
  get length() {
    return this._rows.length;
  }

  /** @returns {Line | undefined} */
  get firstLine() {
    return this._rows.find((row) => row.line !== null)?.line ?? undefined;
  }

  /** @returns {Line | undefined} */
  get lastLine() {
    return this._rows.findLast((row) => row.line !== null)?.line ?? undefined;
  }

  get following() {
    return this._following;
  }

  set following(wanted) {
    if (wanted !== this._following) {
      this._following = wanted;
      this.dispatchEvent(new Event("follow"));
    }
    if (wanted) this._draw();
  }

  /**
   * A text that is marked where it stands in a line.
   * @param {string} text
   */
  mark(text) {
    this._marked = text.toLowerCase();
  }

  clear() {
    this._rows = [];
    this._heights.reset([]);
    for (const element of this._shown.values()) element.remove();
    this._shown.clear();
    this._target = null;
    this._lastTop = 0;
    this._draw();
  }

  /**
   * Returns whether the oldest were dropped.
   * @param {(Line | string)[]} lines a string is a note between lines
   * @param {number} most rows that are kept
   */
  add(lines, most) {
    let last = this.lastLine;
    for (const each of lines) {
      const row = rowOf(each, last);
      if (row.line) last = row.line;
      this._rows.push(row);
      this._heights.push(this._guess(row));
    }
    const drops = this._rows.length > most;
    if (drops) this._drop(this._rows.length - Math.floor(most * 0.9));
    this._drawSoon();
    return drops;
  }

  /** @param {Line[]} lines they are before all others */
  addBefore(lines) {
    const kept = this._anchor();
    /** @type {Row[]} */
    const rows = [];
    /** @type {Line | undefined} */
    let last;
    for (const each of lines) {
      rows.push(rowOf(each, last));
      last = each;
    }
    const old = this._rows.findIndex((row) => row.line !== null);
    const first = this._rows[old];
    const heights = this._heights.all();
    if (first?.line && last) {
      const again = rowOf(first.line, last);
      this._forget(first);
      this._rows[old] = again;
      if (kept.row === first) kept.row = again;
      if (this._target === first) this._target = again;
      heights[old] = this._guess(again);
    }
    this._rows = [...rows, ...this._rows];
    this._heights.reset([...rows.map((row) => this._guess(row)), ...heights]);
    this._keep(kept);
    this._draw();
  }

  /**
   * Show a line, else the first one that is not before a time, and point at it.
   * @param {string} position
   * @param {number} time in milliseconds
   */
  showMoment(position, time) {
    this._following = false;
    let place = this._rows.findIndex((row) => row.line?.position === position);
    if (place < 0) {
      place = this._rows.findIndex((row) => row.line && Date.parse(row.line.time) >= time);
    }
    if (place < 0) place = this._rows.length - 1;
    const row = this._rows[place];
    if (!row) return;
    this._target = row;
    const top = () => this._heights.above(place) - this.clientHeight / 3;
    // Once more, with the heights of what is seen there.
    for (let i = 0; i < 2; i += 1) {
      this._scrollTo(this._sizer.offsetTop + top());
      this._draw();
    }
    this._shown.get(row)?.classList.add("target");
  }

  // what is seen

  _scrolled() {
    const top = this.scrollTop;
    const atEnd = top + this.clientHeight >= this.scrollHeight - AT_END;
    if (atEnd) {
      if (this.mayFollow) this.following = true;
    } else if (top < this._lastTop - 1 && this._following) {
      this.following = false;
    }
    this._lastTop = top;
    this._drawSoon();
    if (top < NEAR) this.dispatchEvent(new Event("top"));
    if (top + this.clientHeight > this.scrollHeight - NEAR) this.dispatchEvent(new Event("bottom"));
  }

  /** @param {number} top */
  _scrollTo(top) {
    this.scrollTop = top;
    this._lastTop = this.scrollTop;
  }

  _resize() {
    if (this.clientWidth === this._width) {
      this._draw();
      return;
    }
    const kept = this._anchor();
    this._width = this.clientWidth;
    this._heights.reset(this._rows.map((row) => this._guess(row)));
    this._keep(kept);
    this._draw();
  }

  _drawSoon() {
    if (this._drawing) return;
    this._drawing = true;
    requestAnimationFrame(() => {
      this._drawing = false;
      this._draw();
    });
  }

  /** Put into the page what is seen, and nothing else. */
  _draw() {
    if (!this.isConnected || this.clientHeight === 0) return;
    for (let tries = 0; tries < 4; tries += 1) {
      this._sizer.style.height = `${this._heights.above(this._rows.length)}px`;
      if (this._following) this._scrollTo(this.scrollHeight);
      if (!this._drawOnce()) return;
    }
  }

  /** Returns whether heights were wrong, so that something else may be seen now. */
  _drawOnce() {
    const count = this._rows.length;
    const top = this.scrollTop - this._sizer.offsetTop;
    const first = count ? this._heights.find(Math.max(0, top - BEYOND)) : 0;
    const last = count ? this._heights.find(top + this.clientHeight + BEYOND) + 1 : 0;
    const kept = this._anchor();
    const wanted = this._rows.slice(first, last);
    const still = new Set(wanted);
    for (const row of [...this._shown.keys()]) if (!still.has(row)) this._forget(row);
    /** @type {Element | null} */
    let before = null;
    for (const row of wanted) {
      let element = this._shown.get(row);
      if (element === undefined) {
        element = this._make(row);
        this._shown.set(row, element);
      }
      /** @type {Element | null} */
      const next = before === null ? this._window.firstElementChild : before.nextElementSibling;
      if (next !== element) this._window.insertBefore(element, next);
      before = element;
    }
    this._first = first;
    this._window.style.transform = `translateY(${this._heights.above(first)}px)`;
    let wrong = false;
    wanted.forEach((row, i) => {
      const height = this._shown.get(row)?.getBoundingClientRect().height ?? 0;
      if (Math.abs(height - this._heights.at(first + i)) > 0.25) {
        this._heights.set(first + i, height);
        wrong = true;
      }
    });
    if (wrong) {
      this._sizer.style.height = `${this._heights.above(count)}px`;
      this._keep(kept);
    }
    return wrong;
  }

  /** @param {Row} row */
  _forget(row) {
    this._shown.get(row)?.remove();
    this._shown.delete(row);
  }

  /** Return which row is uppermost, and how much of it is above. */
  _anchor() {
    const top = this.scrollTop - this._sizer.offsetTop;
    const place = this._heights.find(Math.max(0, top));
    /** @type {Row | undefined} */
    const row = this._rows[place];
    return { row, place, into: top - this._heights.above(place) };
  }

  /**
   * Have a row where it was.
   * @param {{row: Row | undefined, place: number, into: number}} kept
   */
  _keep(kept) {
    if (this._following || !kept.row) return;
    const same = this._rows[kept.place] === kept.row;
    const place = same ? kept.place : this._rows.indexOf(kept.row);
    this._sizer.style.height = `${this._heights.above(this._rows.length)}px`;
    const top = this._sizer.offsetTop + this._heights.above(Math.max(0, place)) + kept.into;
    if (Math.abs(top - this.scrollTop) > 0.5) this._scrollTo(top);
  }

  /** @param {number} count */
  _drop(count) {
    const kept = this._anchor();
    for (const row of this._rows.slice(0, count)) this._forget(row);
    this._heights.reset(this._heights.all().slice(count));
    this._rows = this._rows.slice(count);
    this._keep(kept);
  }

  // one row

  /** @param {Row} row */
  _guess(row) {
    const { letter, height } = this._measures();
    if (!row.line) return height;
    const narrow = this._width < NARROW;
    const room = this._width - 24 - (narrow ? 0 : COLUMNS * letter);
    const columns = Math.max(10, Math.floor(room / letter));
    let lines = row.day ? 1.5 : 0;
    let more = narrow ? 11 + row.line.process.length : 0;
    const text = shortened(row.line).slice(0, LONGEST);
    for (const part of text.split("\n")) {
      const letters = part.length + (part.match(WIDE)?.length ?? 0) + more;
      lines += Math.max(1, Math.ceil(letters / columns));
      more = 0;
    }
    return lines * height + 2;
  }

  _measures() {
    if (!this._measured || this._measured.width !== this._width) {
      const box = this._ruler.getBoundingClientRect();
      this._measured = {
        width: this._width,
        letter: box.width / 50 || 7.5,
        height: box.height || 18,
      };
    }
    return this._measured;
  }

  /** @type {{width: number, letter: number, height: number} | undefined} */
  _measured;

  /** @param {Row} row */
  _make(row) {
    if (!row.line) return h("div.line.note", null, h("span", null, row.note));
    const { line } = row;
    const time = new Date(line.time);
    const level = line.level ?? "";
    const text = shortened(line);
    const shown = h("span.text");
    this._fill(shown, text.slice(0, LONGEST));
    if (text.length > LONGEST) {
      shown.append(h("button.plain.more", { type: "button" }, t("show all", { size: bytes(text.length) })));
    }
    const link = h("a.time", {
      href: "#log", tabindex: -1, title: t("link moment"),
    }, clock(time));
    const element = h("div.line", null,
      row.day ? h("span.day", null, row.day) : null,
      link, " ",
      h("span.who", { title: line.process }, line.process), " ",
      h("span.level", null, LOUD.has(level) ? level : ""), " ",
      shown,
    );
    if (level) element.classList.add(level.toLowerCase());
    if (row === this._target) element.classList.add("target");
    return element;
  }

  /**
   * @param {HTMLElement} element
   * @param {string} text
   */
  _fill(element, text) {
    const lower = this._marked ? text.toLowerCase() : "";
    let from = 0;
    // A letter that is longer in the other case would move the marks.
    if (lower && lower.length === text.length) {
      for (let at = lower.indexOf(this._marked); at >= 0; at = lower.indexOf(this._marked, from)) {
        element.append(text.slice(from, at), h("mark", null, text.slice(at, at + this._marked.length)));
        from = at + this._marked.length;
      }
    }
    element.append(text.slice(from));
  }

  /** @param {MouseEvent} event */
  _clicked(event) {
    const { target } = event;
    if (!(target instanceof Element)) return;
    const element = target.closest(".line");
    const found = [...this._shown].find(([, each]) => each === element)?.[0];
    if (!found?.line) return;
    if (target.closest(".more")) {
      sheet(t("whole line"), [h("pre", { tabindex: 0 }, found.line.text)]);
    } else if (target.closest(".time") && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this._target = found;
      for (const each of this._shown.values()) each.classList.toggle("target", each === element);
      this.following = false;
      this.dispatchEvent(new CustomEvent("moment", { detail: found.line }));
    }
  }
}

const LOUD = new Set(["WARNING", "ERROR", "CRITICAL", "DEBUG", "TRACE"]);

/**
 * @param {Line | string} each
 * @param {Line | undefined} last the line before it
 * @returns {Row}
 */
function rowOf(each, last) {
  if (typeof each === "string") return { line: null, day: "", note: each };
  const begun = day(new Date(each.time));
  const before = last ? day(new Date(last.time)) : "";
  return { line: each, day: begun === before ? "" : begun, note: "" };
}

/**
 * Return the text of a line without what stands in the columns before it.
 * @param {Line} line
 */
function shortened(line) {
  return line.level === null ? line.text : line.text.replace(BEGINNING, "");
}
