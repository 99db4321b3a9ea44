/**
 * The log: followed as it comes, or read from a moment on, backwards over the log's files too.
 *
 * What is shown is one piece of the log. It grows at its beginning by pages before it, and at its
 * end by pages after it, or, where it reaches to now, by what comes. Each is asked for from the
 * place where the piece ends. So no line is left out or there twice, whichever comes first.
 */

import { Problem, asked, get, own } from "./api.js";
import * as bot from "./bot.js";
import { reason, tell } from "./dialog.js";
import { filters, h, say, searchField } from "./dom.js";
import { moment } from "./format.js";
import { LineList } from "./lines.js";
import { Stream } from "./stream.js";
import { t } from "./words.js";

/** @import { Line, LogPage } from "./types.js" */

const A_PAGE = 300;
/** Pages without a match that are looked through before somebody is asked to go on. */
const PATIENCE = 10;
const GATHER = 80;
const AGAIN = 2_000;
const TYPED = 300;
const LEVELS = ["DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"];

export class Log extends HTMLElement {
  constructor() {
    super();
    /** @type {Line[]} */
    this._waiting = [];
    this._new = 0;
    /** Rows that are kept in memory. */
    this._most = 100_000;
    /** Grows with each beginning anew, so that late answers are known. */
    this._turn = 0;
    this._at = "";
    /** The position of the line that is meant, if one is. */
    this._meant = "";
    this._lost = false;
    this._seeks = { earlier: false, later: false };
    /** Where the piece begins, "" if nothing is before it. */
    this._before = "";
    /** Where it ends. */
    this._after = "";
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
      this._at = this._meant = this._moment.value = "";
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
    clearTimeout(this._trying);
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
  _trying;
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
    // A position of another life of the bot is none: the time is what is left.
    if (!this._meant.startsWith(own().life)) this._meant = "";
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
    this._leave();
    clearTimeout(this._trying);
    this._waiting = [];
    this._new = 0;
    this._seeks = { earlier: false, later: false };
    this._before = this._after = "";
    const filters = this._filters();
    const active = [filters.process[0], filters.level, filters.account, this._at].filter(Boolean).length;
    const number = this._toggle.lastElementChild;
    if (number) say(number, active ? String(active) : "");
    this._clear.hidden = !active && !filters.text;
    this._download.href = `/api/log/download${asked(filters)}`;
    this._list.mark(filters.text);
    const time = new Date(this._at);
    if (Number.isNaN(time.getTime())) this._at = this._meant = "";
    else this._moment.value = local(time);
    this._list.mayFollow = this._list.following = !this._at;
    this._list.clear();
    this._edge("head", "");
    this._edge("foot", t("loading"));
    void this._first(this._at ? time : null);
    this._showState();
  }

  /**
   * Show the last lines, or those around a time, or around the line that is meant.
   * @param {Date | null} time
   */
  async _first(time) {
    const turn = this._turn;
    try {
      const around = this._meant ? { before: this._meant } : { at: time?.toISOString() };
      const found = await this._page({ ...around, lines: A_PAGE });
      if (turn !== this._turn) return;
      this._lost = false;
      this._list.add(found.lines, this._most);
      this._before = found.next ?? "";
      this._after = found.end;
      this._edge("head", this._before ? "" : this._beginning());
      if (!time) this._listen();
      else {
        await this._later();
        if (turn !== this._turn) return;
        this._list.showMoment(this._meant, time.getTime());
      }
      this._fill();
    } catch (error) {
      if (turn !== this._turn) return;
      // One that does not answer may come back: as a stream does, this tries again.
      this._lost = !(error instanceof Problem);
      if (this._lost) this._trying = setTimeout(() => this._begin(), AGAIN);
      else this._edge("foot", reason(error), () => this._begin());
    }
    this._showState();
  }

  /** @param {import("./api.js").Query} query */
  async _page(query) {
    return /** @type {LogPage} */ (await get("/log/history", { ...this._filters(), ...query }));
  }

  /** From now on, show what comes. */
  _listen() {
    this._edge("foot", this._list.length || this._before ? "" : this._none());
    const query = { ...this._filters(), after: this._after };
    this._stream = new Stream("/log/follow", query, (name, data) => {
      if (name === "lost") this._missed(data.lost);
      else this._waiting.push(/** @type {Line} */ (data));
      this._gathering ??= setTimeout(() => this._flush(), GATHER);
    }, (state, problem) => {
      this._lost = state === "lost";
      if (state === "ended") this._edge("foot", problem);
      this._showState();
    });
  }

  /** Show no more of what comes: the piece ends here, until somebody reads on. */
  _leave() {
    this._flush();
    this._stream?.close();
    this._stream = undefined;
  }

  /**
   * Lines were forgotten before this page asked for them again. The log's files have them.
   * @param {number} lost
   */
  _missed(lost) {
    if (this._list.following) {
      this._begin();
      return;
    }
    this._leave();
    if (!this._after.includes(":")) this._add([t("lost", { n: lost })]);
    void this._later();
  }

  _flush() {
    clearTimeout(this._gathering);
    this._gathering = undefined;
    const lines = this._waiting;
    this._waiting = [];
    const last = lines.at(-1);
    if (!last) return;
    if (!this._list.following) this._new += lines.length;
    this._after = last.position;
    this._add(lines);
    this._edge("foot", "");
    this._showState();
    // Who reads keeps what is read, and gets the rest as he reads on.
    if (!this._list.following && this._list.length >= this._most * 0.9) this._leave();
    this._fill();
  }

  /** @param {(Line | string)[]} lines */
  _add(lines) {
    if (!this._list.add(lines, this._most)) return;
    this._before = this._list.firstLine?.position ?? this._before;
    this._edge("head", "");
  }

  /** A list that is not full can't be scrolled up. */
  _fill() {
    if (this._list.scrollHeight <= this._list.clientHeight) void this._earlier();
  }

  _none() {
    return t(this._clear.hidden ? "no lines yet" : "no lines");
  }

  _beginning() {
    return this._list.length ? t("log begins") : "";
  }

  /** Show lines before the first one. */
  async _earlier() {
    const turn = this._turn;
    if (this._seeks.earlier || !this._before || this._list.length >= this._most) return;
    this._seeks.earlier = true;
    this._edge("head", t("log looks"));
    try {
      let found;
      for (let tries = 0; this._before && !found?.lines.length && tries < PATIENCE; tries += 1) {
        const before = this._before;
        found = await this._page({ before, lines: A_PAGE });
        // Lines between these and what is shown now may have been dropped meanwhile.
        if (turn !== this._turn || before !== this._before) return;
        this._before = found.next ?? "";
      }
      if (found?.lines.length) this._list.addBefore(found.lines);
      if (this._before) this._edge("head", t("look further"), () => void this._earlier());
      else this._edge("head", this._beginning());
      if (this._stream) this._edge("foot", this._list.length || this._before ? "" : this._none());
    } catch (error) {
      if (turn === this._turn) this._edge("head", reason(error), () => void this._earlier());
    } finally {
      if (turn === this._turn) this._seeks.earlier = false;
    }
  }

  /** Show lines after the last one, where the piece does not reach to now. */
  async _later() {
    const turn = this._turn;
    if (this._stream || this._seeks.later || !this._after) return;
    this._seeks.later = true;
    try {
      let found;
      for (let tries = 0; found === undefined || (found.more && !found.lines.length && tries < PATIENCE);
        tries += 1) {
        found = await this._page({ after: this._after, lines: A_PAGE });
        if (turn !== this._turn) return;
        this._after = found.end;
      }
      // What was one line when it came is several in a file: they are here already.
      const shown = this._list.lastLine?.text.split("\n").slice(1) ?? [];
      while (shown.length && shown[0] === found.lines[0]?.text) {
        shown.shift();
        found.lines.shift();
      }
      this._add(found.lines);
      if (!found.more) this._listen();
      else if (found.lines.length) this._edge("foot", "");
      else this._edge("foot", t("look further"), () => void this._later());
    } catch (error) {
      if (turn === this._turn) this._edge("foot", reason(error), () => void this._later());
    } finally {
      if (turn === this._turn) this._seeks.later = false;
    }
  }

  /** Follow, from now on. */
  _toNow() {
    this._new = 0;
    this._moment.value = this._at = this._meant = "";
    this._address("");
    this._list.mayFollow = true;
    if (this._stream) this._list.following = true;
    else this._begin();
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
