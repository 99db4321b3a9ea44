/**
 * The settings: what holds, where it came from, what needs a restart; and this session.
 */

import { change, get, logOut, mayChange } from "./api.js";
import { repeat } from "./bot.js";
import { attempt, tell } from "./dialog.js";
import { filters, h, say, searchField } from "./dom.js";
import { about } from "./format.js";
import { Table } from "./table.js";
import { t } from "./words.js";

/** @import { Setting } from "./types.js" */

const EVERY = 15_000;
const MASK = "***";

export class Settings extends HTMLElement {
  connectedCallback() {
    const table = settingTable();
    const none = h("p.muted", null, t("loading"));
    const changed = h("p.notice", { role: "status", hidden: true });
    const filter = searchField(t("filter names"), () => show());
    const only = h("input", { type: "checkbox", onchange: () => show() });
    /** @type {Setting[] | null} */
    let found = null;
    const show = () => {
      if (!found) return;
      const text = filter.value.toLowerCase();
      const shown = found.filter(({ key, source, changed: other }) =>
        key.toLowerCase().includes(text) && (!only.checked || source !== null || other));
      table.show(shown);
      none.hidden = shown.length > 0;
      say(none, t("no settings"));
      const n = found.filter((each) => each.changed).length;
      changed.hidden = n === 0;
      say(changed, n ? t("changed n", { n }) : "");
    };
    this.append(
      h("section", { "aria-label": t("settings") }, changed,
        filters(show, filter, h("div.bar", null, h("label", null, only, " ", t("only changed")))),
        table.element, none),
      session(),
    );
    this._end = repeat(async () => {
      found = /** @type {Setting[]} */ (await get("/settings"));
      show();
    }, EVERY);
  }

  disconnectedCallback() {
    this._end?.();
    this.replaceChildren();
  }
}

/** @returns {Table<Setting>} */
function settingTable() {
  return new Table(t("settings"), "settings", [
    { key: "name", head: t("name"), show: (cell, each) => {
      if (!cell.firstChild) cell.append(h("code", null, each.key), " ", h("span.badge.backoff"));
      const badge = cell.lastElementChild;
      if (!badge) return;
      say(badge, each.changed ? t("changed") : "");
      badge.toggleAttribute("hidden", !each.changed);
    } },
    { key: "value", head: t("value"), show: (cell, { value }) => {
      const word = value === MASK ? t("hidden")
        : value === null || value === "" || (Array.isArray(value) && !value.length) ? t("empty")
        : typeof value === "boolean" ? t(value ? "on" : "off") : null;
      cell.classList.toggle("muted", word !== null && typeof value !== "boolean");
      say(cell, word ?? (Array.isArray(value) ? value.join(", ")
        : typeof value === "object" ? JSON.stringify(value) : String(value)));
    } },
    { key: "source", head: t("source"), show: (cell, { source }) => {
      cell.classList.toggle("muted", source === null);
      say(cell, source === "environment" ? t(source) : source ?? t("default"));
    } },
  ], (each) => each.key);
}

/** Return what concerns this session. */
function session() {
  const made = h("div.made", { role: "status" });
  const make = () => attempt(async () => {
    const link = /** @type {{url: string, seconds: number}} */ (
      await change("POST", "/session/link", { right: "read" }));
    const field = h("input", { readonly: true, value: link.url, "aria-label": t("friend") });
    const copy = h("button", { type: "button", onclick: async () => {
      field.select();
      try {
        await navigator.clipboard.writeText(link.url);
        tell(t("copied"));
      } catch {
        // It is selected, so that it can be copied by hand.
      }
    } }, t("copy"));
    made.replaceChildren(
      h("p", null, t("link seconds", { time: about(link.seconds) })), h("div.bar", null, field, copy));
    field.select();
    made.scrollIntoView({ block: "center" });
  });
  return h("section", { "aria-labelledby": "session" },
    h("h2", { id: "session" }, t("session")),
    h("p", null, t(mayChange() ? "right change" : "read only why")),
    mayChange() && h("div", null,
      h("h3", null, t("friend")), h("p.muted", null, t("friend why")),
      h("button", { type: "button", onclick: make }, t("make link")), made),
    h("p.out", null, h("button", { type: "button", onclick: () => attempt(async () => {
      await logOut();
      location.assign("/");
    }) }, t("log out"))),
  );
}
