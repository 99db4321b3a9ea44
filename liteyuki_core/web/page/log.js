/**
 * The log: followed as it comes, or read from a moment on, backwards over the log's files too.
 */

import { asked, get } from "./api.js";
import * as bot from "./bot.js";
import { reason, tell } from "./dialog.js";
import { filters, h, say, searchField } from "./dom.js";
import { moment } from "./format.js";
import { LineList } from "./lines.js";
import { Stream } from "./stream.js";
import { t } from "./words.js";

/** @import { Line, LogPage } from "./types.js" */

/** Rows that are kept in memory. */
const MOST = 100_000;
const AT_FIRST = 500;
const A_PAGE = 300;
/** Pages without a match that are looked through before somebody is asked to go on. */
const PATIENCE = 10;
const GATHER = 80;
const TYPED = 300;
const LEVELS = ["DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"];

export class Log extends HTMLElement {
  constructor() {
    super();
    /** @type {(Line | string)[]} */
    this._waiting = [];
    /** @type {Set<string>} Positions of lines that were read, and may come by the stream too. */
    this._joined = new Set();
    this._new = 0;
    /** @type {string} */
    this._life = "";
    /** Grows with each beginning anew, so that late answers are known. */
    this._turn = 0;
    this._at = "";
    /** The position of the line that is meant, if one is. */
    this._meant = "";
    this._lost = false;
    this._seeks = { earlier: false, later: false };
    this._ended = { earlier: false, later: false };
    /** @type {string | undefined} From where more lines are asked for, if not from the first one, */
    this._before = undefined;
    /** @type {string | undefined} and if not from the last one. */
    this._after = undefined;
    const changed = () => this._chosen();
    this._text = searchField(t("log filter"), () => {
      clearTimeout(this._typing);
      this._typing = setTimeout(changed, TYPED);
    });
    this._process = h("select", { "aria-label": t("process"), onchange: changed });
    this._level = h("select", { "aria-label": t("level"), onchange: changed },
      h("option", { value: "" }, t("all levels")),
      ...LEVELS.map((level) => h("option", { value: level },
        level === "CRITICAL" ? level : t("and above", { level }))));
    this._account = h("select", { "aria-label": t("account"), onchange: changed });
    this._moment = h("input", { type: "datetime-local", step: 1, "aria-label": t("moment"),
      onchange: () => {
        const time = new Date(this._moment.value);
        if (Number.isNaN(time.getTime())) return;
        this._at = time.toISOString();
        this._meant = "";
        this._chosen(true);
      } });
    this._clear = h("button", { type: "button", onclick: () => {
      for (const field of [this._text, this._process, this._level, this._account]) field.value = "";
      this._at = "";
      this._moment.value = "";
      this._chosen(true);
      this._text.focus();
    } }, t("clear"));
    this._download = h("a.button", { href: "/api/log/download", download: "" }, t("download"));
    this._more = h("div.more", { id: "log-filters" },
      this._process, this._level, this._account, this._moment, this._clear, this._download);
    const toggle = h("button.toggle", {
      type: "button", "aria-expanded": false, "aria-controls": "log-filters",
      onclick: () => {
        const open = this._form.classList.toggle("open");
        toggle.setAttribute("aria-expanded", String(open));
      },
    });
    toggle.append(h("span", null, t("filters")), h("span.number"));
    this._toggle = toggle;
    this._form = filters(() => {
      clearTimeout(this._typing);
      changed();
    }, this._text, toggle, this._more);
    this._showChoices();
    this._list = new LineList();
    this._list.addEventListener("follow", () => this._showState());
    this._list.addEventListener("top", () => void this._earlier());
    this._list.addEventListener("bottom", () => void this._later());
    this._list.addEventListener("moment", (event) => {
      void this._link(/** @type {CustomEvent<Line>} */ (event).detail);
    });
    this._follow = h("button.first.follow", {
      type: "button", onclick: () => this._toNow(), hidden: true,
    });
    this._state = h("p.log-state", { role: "status" });
  }

  connectedCallback() {
    this.append(this._form, this._state, this._list, this._follow);
    this._unwatch = bot.watch(() => this._showChoices(), 10_000);
  }

  disconnectedCallback() {
    this._turn += 1;
    this._stream?.close();
    this._unwatch?.();
    clearTimeout(this._gathering);
    clearTimeout(this._typing);
    this.replaceChildren();
  }

  /** @type {Stream | undefined} */
  _stream;
  /** @type {(() => void) | undefined} */
  _unwatch;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  _gathering;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  _typing;

  /**
   * Show what an address says.
   * @param {string} _within
   * @param {URLSearchParams} query
   */
  go(_within, query) {
    this._text.value = query.get("text") ?? "";
    choose(this._process, query.getAll("process").join("\n"));
    choose(this._level, query.get("level") ?? "");
    choose(this._account, query.get("account") ?? "");
    this._at = query.get("at") ?? "";
    this._meant = query.get("line") ?? "";
    this._begin();
  }

  // filters

  /** Offer the processes and accounts that there are. */
  _showChoices() {
    const processes = ["main", ...(bot.status?.processes ?? []).map(({ name }) => name)];
    offer(this._process, t("all processes"), processes.map((name) => [name, name]));
    const accounts = new Map((bot.status?.accounts ?? []).map((each) => [each.id, each.nickname]));
    offer(this._account, t("all accounts"),
      [...accounts].map(([id, name]) => [id, name ? `${id} (${name})` : id]));
    this._account.hidden = this._account.options.length < 2;
  }

  /**
   * Somebody has chosen something else.
   * @param {boolean} [keepMoment]
   */
  _chosen(keepMoment = false) {
    if (!keepMoment && !this._at) this._moment.value = "";
    this._address(this._at);
    this._begin();
  }

  _filters() {
    return {
      process: this._process.value.split("\n"),
      level: this._level.value,
      text: this._text.value,
      account: this._account.value,
    };
  }

  /**
   * @param {string} at
   * @param {string} [line]
   */
  _address(at, line = "") {
    const hash = `#log${asked({ ...this._filters(), at, line })}`;
    history.replaceState(null, "", hash);
  }

  // lines

  /** Show lines from the beginning, as the filters say. */
  _begin() {
    this._turn += 1;
    this._stream?.close();
    this._stream = undefined;
    clearTimeout(this._gathering);
    this._gathering = undefined;
    this._waiting = [];
    this._joined.clear();
    this._new = 0;
    this._seeks = { earlier: false, later: false };
    this._ended = { earlier: false, later: true };
    this._before = undefined;
    this._after = undefined;
    const filters = this._filters();
    const active = [filters.process[0], filters.level, filters.account, this._at].filter(Boolean).length;
    const number = this._toggle.lastElementChild;
    if (number) say(number, active ? String(active) : "");
    this._clear.hidden = !active && !filters.text;
    this._download.href = `/api/log/download${asked(filters)}`;
    this._list.mark(filters.text);
    this._list.mayFollow = !this._at;
    this._list.clear();
    this._list.head.replaceChildren();
    this._list.foot.replaceChildren();
    if (this._at) void this._read(new Date(this._at));
    else this._listen();
    this._showState();
  }

  /** Follow the log as it comes. */
  _listen() {
    this._list.following = true;
    this._life = "";
    const query = { ...this._filters(), lines: AT_FIRST };
    this._edge("foot", t("loading"));
    this._stream = new Stream("/log/follow", query, (name, data) => {
      if (name === "lost") this._waiting.push(t("lost", { n: data.lost }));
      else this._take(/** @type {Line} */ (data));
      this._gathering ??= setTimeout(() => this._flush(), GATHER);
    }, (state, problem) => {
      if (state === "live") {
        // What there is comes with the first answer.
        this._gathering ??= setTimeout(() => this._flush(), GATHER);
      }
      this._lost = state === "lost";
      if (state === "ended") this._edge("foot", problem);
      this._showState();
    });
  }

  /** @param {Line} line */
  _take(line) {
    if (this._joined.has(line.position)) return;
    const life = line.id.slice(0, line.id.lastIndexOf("-"));
    if (this._life && life !== this._life) this._waiting.push(t("bot again"));
    this._life = life;
    this._waiting.push(line);
  }

  _flush() {
    this._gathering = undefined;
    const lines = this._waiting;
    this._waiting = [];
    if (!this._list.following) this._new += lines.length;
    this._list.add(lines, MOST);
    this._edge("foot", this._list.length ? "" : this._none());
    this._showState();
    // A list that is not full can't be scrolled up.
    if (this._list.scrollHeight <= this._list.clientHeight) void this._earlier();
  }

  _none() {
    return t(this._clear.hidden ? "no lines yet" : "no lines");
  }

  /**
   * Read the log around a time.
   * @param {Date} time
   */
  async _read(time) {
    const turn = this._turn;
    this._list.following = false;
    if (Number.isNaN(time.getTime())) {
      this._at = "";
      this._begin();
      return;
    }
    this._moment.value = local(time);
    this._ended.later = false;
    this._edge("foot", t("loading"));
    const at = time.toISOString();
    try {
      const found = await this._page({ at, lines: A_PAGE });
      if (turn !== this._turn) return;
      this._list.add(found.lines, MOST);
      this._before = found.next ?? undefined;
      this._ended.earlier = !found.more;
      await this._later();
      if (turn !== this._turn) return;
      this._list.showMoment(this._meant, time.getTime());
      if (!this._list.length) await this._earlier();
    } catch (error) {
      if (turn === this._turn) this._edge("foot", reason(error));
    }
  }

  /** @param {import("./api.js").Query} query */
  async _page(query) {
    return /** @type {LogPage} */ (await get("/log/history", { ...this._filters(), ...query }));
  }

  /** Show lines before the first one. */
  async _earlier() {
    const turn = this._turn;
    if (this._seeks.earlier || this._ended.earlier || this._list.length >= MOST) return;
    let before = this._before ?? this._list.firstLine?.position;
    const joins = before === undefined;
    this._seeks.earlier = true;
    this._edge("head", t("log looks"));
    try {
      for (let tries = 0; tries < PATIENCE; tries += 1) {
        const found = await this._page({ before, lines: A_PAGE });
        if (turn !== this._turn) return;
        this._ended.earlier = !found.more;
        if (found.lines.length || !found.more) {
          const first = this._list.firstLine?.position;
          const known = found.lines.findIndex(({ position }) => position === first);
          this._list.addBefore(known < 0 ? found.lines : found.lines.slice(0, known));
          if (joins) for (const { position } of found.lines) this._joined.add(position);
          before = found.next ?? undefined;
          break;
        }
        before = found.next ?? before;
      }
      this._before = before;
      const found = this._list.length > 0;
      if (this._ended.earlier) this._edge("head", found ? t("log begins") : "");
      else this._edge("head", t("look further"), () => void this._earlier());
      if (found || this._ended.earlier) this._edge("foot", found ? "" : this._none());
      this._showState();
    } catch (error) {
      if (turn === this._turn) this._edge("head", reason(error), () => void this._earlier());
    } finally {
      if (turn === this._turn) this._seeks.earlier = false;
    }
  }

  /** Show lines after the last one, where the log is not followed. */
  async _later() {
    const turn = this._turn;
    if (this._stream || this._seeks.later || this._ended.later) return;
    let after = this._after ?? this._list.lastLine?.position;
    if (!after) return;
    this._seeks.later = true;
    try {
      let found = await this._page({ after, lines: A_PAGE });
      for (let tries = 1; tries < PATIENCE && found.more && !found.lines.length; tries += 1) {
        if (turn !== this._turn) return;
        after = found.next ?? after;
        found = await this._page({ after, lines: A_PAGE });
      }
      if (turn !== this._turn) return;
      this._after = found.next ?? undefined;
      this._list.add(found.lines, MOST);
      this._ended.later = !found.more;
      this._edge("foot", found.more ? "" : t("log ends"), found.more ? undefined : () => this._toNow());
    } catch (error) {
      if (turn === this._turn) this._edge("foot", reason(error), () => void this._later());
    } finally {
      if (turn === this._turn) this._seeks.later = false;
    }
  }

  /** Follow, from now on. */
  _toNow() {
    this._new = 0;
    if (this._at || !this._stream) {
      this._at = "";
      this._moment.value = "";
      this._address("");
      this._begin();
    } else {
      this._list.following = true;
      this._address("");
    }
    this._list.focus({ preventScroll: true });
    this._showState();
  }

  // words

  /**
   * Say something at an end of the list.
   * @param {"head" | "foot"} end
   * @param {string} text
   * @param {() => void} [does] makes it a button
   */
  _edge(end, text, does) {
    const edge = this._list[end];
    if (edge.textContent === text && !does) return;
    const shown = does ? h("button.plain", { type: "button", onclick: does }, text) : text;
    edge.replaceChildren(...(text ? [shown] : []));
  }

  _showState() {
    const follows = this._list.following && !this._at;
    if (follows) this._new = 0;
    let text = t(follows ? "following" : "not following");
    if (this._at) text = t("from moment", { time: moment(this._at) });
    if (this._lost && !this._at) text = t("reconnecting");
    say(this._state, text);
    this._state.classList.toggle("bad", this._lost && !this._at);
    this._follow.hidden = follows;
    const label = this._at ? t("to now") : this._new ? t("follow new", { n: this._new }) : t("follow");
    say(this._follow, label);
  }

  /**
   * Make the address lead to a line.
   * @param {Line} line
   */
  async _link(line) {
    this._address(line.time, line.position);
    try {
      await navigator.clipboard.writeText(location.href);
      tell(t("linked"));
    } catch {
      tell(t("linked only"));
    }
  }
}

/**
 * Choose a value, which may not be offered yet.
 * @param {HTMLSelectElement} select
 * @param {string} value
 */
function choose(select, value) {
  if (value && ![...select.options].some((each) => each.value === value)) {
    select.append(h("option", { value }, value.replaceAll("\n", ", ")));
  }
  select.value = value;
}

/**
 * Offer values beside the one that is chosen.
 * @param {HTMLSelectElement} select
 * @param {string} all
 * @param {string[][]} pairs values, and how they are shown
 */
function offer(select, all, pairs) {
  const wanted = [["", all], ...pairs];
  const chosen = select.value;
  const same = wanted.length === select.options.length
    && wanted.every(([value], i) => select.options[i]?.value === value);
  if (same) return;
  select.replaceChildren(
    ...wanted.map(([value, label]) => h("option", { value }, label)));
  choose(select, chosen);
}

/**
 * Return a time as a field of a form has it.
 * @param {Date} time
 */
function local(time) {
  const shifted = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 19);
}
