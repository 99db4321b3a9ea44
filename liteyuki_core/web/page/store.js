/**
 * The store: its keys, their values as JSON, and how they change.
 */

import { asked, change, get, mayChange, part, Problem } from "./api.js";
import { repeat } from "./bot.js";
import { attempt, confirmed, reason, sheet, tell } from "./dialog.js";
import { filters, h, say, searchField } from "./dom.js";
import { about, bytes, clock, count } from "./format.js";
import { Live } from "./live.js";
import { column, Table } from "./table.js";
import { t } from "./words.js";

/** @import { Change, StoreKey, StoreValue } from "./types.js" */

const EVERY = 4_000;
const LIMIT = 500;
const TYPED = 250;

export class Store extends HTMLElement {
  constructor() {
    super();
    this._prefix = searchField(t("prefix"), () => {
      clearTimeout(this._typing);
      this._typing = setTimeout(() => this._typed(), TYPED);
    });
    this._live = new Live(t("changes"), [t("watch"), t("unwatch"), t("changes wait")],
      () => ["/store-changes", { prefix: this._prefix.value }], changeRow);
    this._adding = h("button", {
      type: "button", hidden: !mayChange(), onclick: () => edit(null, this._prefix.value),
    }, t("new key"));
    this._table = keyTable();
    this._none = h("p.muted", { role: "status" }, t("loading"));
  }

  connectedCallback() {
    this.append(
      filters(() => this._typed(), this._prefix, h("div.bar", null, this._live.button, this._adding)),
      this._live.element, this._table.element, this._none);
  }

  disconnectedCallback() {
    this._end?.();
    this._live.stop();
    clearTimeout(this._typing);
    this.replaceChildren();
  }

  /** @type {(() => void) | undefined} */
  _end;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  _typing;

  /**
   * @param {string} within
   * @param {URLSearchParams} query
   */
  go(within, query) {
    this._prefix.value = query.get("prefix") ?? "";
    this._run();
    if (within) void attempt(() => edit(within, ""));
  }

  _typed() {
    clearTimeout(this._typing);
    history.replaceState(null, "", `#store${asked({ prefix: this._prefix.value })}`);
    this._run();
    if (this._live.runs) this._live.start();
  }

  _run() {
    this._end?.();
    const prefix = this._prefix.value;
    this._end = repeat(async () => {
      const found = /** @type {StoreKey[]} */ (await get("/store", { prefix, limit: LIMIT }));
      if (prefix !== this._prefix.value) return;
      this._table.show(found);
      const words = found.length === LIMIT ? t("keys cut", { n: count(LIMIT) })
        : found.length ? "" : t(prefix ? "no keys" : "store empty");
      say(this._none, words);
    }, EVERY);
  }
}

/** @param {Change} each */
function changeRow(each) {
  const what = each.expired ? "ch expired" : each.deleted ? "ch deleted" : "ch set";
  return h("li", null,
    h("span.time", null, clock(new Date(each.time))), " ",
    h("span.way", null, each.key), " ",
    h("small", null, t(what), each.deleted ? "" : ` · ${bytes(each.size)}`),
    each.plain && !each.deleted && h("code", null, JSON.stringify(each.value)),
  );
}

/** @returns {Table<StoreKey>} */
function keyTable() {
  return new Table(t("store"), "keys", [
    { key: "name", head: t("key"), show: (cell, each) => {
      if (!cell.firstChild) {
        cell.append(h("button.plain", {
          type: "button", onclick: () => attempt(() => edit(each.key, "")),
        }, each.key));
      }
    } },
    column("bytes", t("bytes"), (each) => bytes(each.size), true),
    column("expires", t("expires"), ({ expires_in: left }) => left === null ? t("never") : about(left)),
    column("persistent", "", (each) => each.persistent ? t("persistent") : ""),
  ], (each) => each.key);
}

/**
 * Show a key, and let somebody change it. Without a key: a new one.
 * @param {string | null} key
 * @param {string} prefix
 */
async function edit(key, prefix) {
  let known = key === null ? null : await read(key);
  const may = mayChange();
  const name = h("input", { id: "edit-key", value: prefix, autocomplete: "off", spellcheck: false,
    autocapitalize: "none", maxlength: 1024 });
  const value = h("textarea", { id: "edit-value", rows: 10, spellcheck: false, readonly: !may });
  value.value = known?.plain ? JSON.stringify(known.value, null, 2) : "";
  const ttl = h("input", { id: "edit-ttl", inputmode: "decimal", placeholder: t("ttl hint"), autocomplete: "off" });
  const problem = h("p.problem", { role: "alert" });
  const save = h("button.first", { type: "button", onclick: () => void keep() }, t("save"));
  const drop = h("button.harms", { type: "button", onclick: () => void remove() }, t("delete"));
  const facts = known && [bytes(known.size), known.persistent && t("persistent")];
  const buttons = may ? (key === null ? [save] : [drop, save]) : [];
  const dialog = sheet(key === null ? t("new key") : t("edit", { key }), [
    facts ? h("p.muted", null, facts.filter(Boolean).join(" · ")) : false,
    key === null && h("div.field", null, h("label", { for: "edit-key" }, t("key")), name),
    known !== null && !known.plain && h("p", null, t("not plain")),
    h("div.field", null, h("label", { for: "edit-value" }, t("json value")), value),
    may && h("div.field", null, h("label", { for: "edit-ttl" }, t("ttl")), ttl),
    known !== null && known.expires_in !== null
      && h("p.muted", null, t("expires was", { time: about(known.expires_in) })),
    problem,
  ], buttons);

  async function keep() {
    const wanted = key ?? name.value;
    const seconds = ttl.value.trim() === "" ? null : Number(ttl.value);
    /** @type {unknown} */
    let data;
    try {
      data = JSON.parse(value.value);
    } catch (error) {
      say(problem, t("not json", { problem: error instanceof Error ? error.message : "" }));
      value.focus();
      return;
    }
    if (!wanted) say(problem, t("need key"));
    else if (seconds !== null && !(seconds > 0)) say(problem, t("bad ttl"));
    else {
      try {
        const now = await read(wanted);
        if (now !== null && !same(now, known)) {
          say(problem, t(key === null ? "exists" : "changed meanwhile"));
          known = now;
          return;
        }
        await change("PUT", `/store/${path(wanted)}`, { value: data, ttl: seconds });
        tell(t("saved", { key: wanted }));
        dialog.close();
      } catch (error) {
        say(problem, reason(error));
      }
    }
  }

  async function remove() {
    if (key === null) return;
    if (!(await confirmed(t("delete title", { key }), [t("c delete")], t("delete"), true))) return;
    const gone = await attempt(async () => {
      await change("DELETE", `/store/${path(key)}`);
      tell(t("deleted", { key }));
    });
    if (gone) dialog.close();
  }
}

/**
 * Return a key with its value, null if there is none.
 * @param {string} key
 */
async function read(key) {
  try {
    return /** @type {StoreValue} */ (await get(`/store/${path(key)}`));
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

/**
 * Return whether a key has one value twice.
 * @param {StoreValue | null} one
 * @param {StoreValue | null} other
 */
function same(one, other) {
  const of = (/** @type {StoreValue | null} */ each) =>
    each && JSON.stringify([each.size, each.plain, each.value]);
  return of(one) === of(other);
}

/**
 * Return a key as a path: slashes stay.
 * @param {string} key
 */
function path(key) {
  return key.split("/").map(part).join("/");
}
