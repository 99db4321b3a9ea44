/**
 * The frame of the page: its views, the way between them, and what holds for all of them.
 */

import { begin, events, mayChange, own } from "./api.js";
import * as bot from "./bot.js";
import { Channels } from "./channels.js";
import { Charts } from "./charts.js";
import { mountTold } from "./dialog.js";
import { h, icon, say } from "./dom.js";
import { about } from "./format.js";
import { LineList } from "./lines.js";
import { Log } from "./log.js";
import { Overview, troublesOf } from "./overview.js";
import { Settings } from "./settings.js";
import { Store } from "./store.js";
import { language, switchLanguage, t } from "./words.js";

const VIEWS = /** @type {const} */ ([
  "overview", "log", "charts", "channels", "store", "settings",
]);
/** @typedef {typeof VIEWS[number]} View */

customElements.define("lite-overview", Overview);
customElements.define("lite-lines", LineList);
customElements.define("lite-log", Log);
customElements.define("lite-charts", Charts);
customElements.define("lite-channels", Channels);
customElements.define("lite-store", Store);
customElements.define("lite-settings", Settings);

const EVERY = 10_000;
const SILENT = 5_000;

/** @type {HTMLElement} */
let main;
/** @type {HTMLHeadingElement} */
let title;
/** @type {HTMLElement} */
let banner;
/** @type {HTMLElement} */
let state;
/** @type {Map<View, HTMLAnchorElement>} */
let links;

/** Return where the address leads: `#channels/NAME?x=y`. */
function place() {
  const [path = "", query = ""] = location.hash.slice(1).split(/\?(.*)/s);
  const [name = "", ...rest] = path.split("/");
  const view = VIEWS.find((each) => each === name) ?? "overview";
  const inside = rest.join("/");
  let within = inside;
  try {
    within = decodeURIComponent(inside);
  } catch {
    // An address that somebody has typed.
  }
  return { view, within, query: new URLSearchParams(query) };
}

/** @typedef {HTMLElement & {go?: (within: string, query: URLSearchParams) => void}} Shown */

/** Show the view that the address leads to. */
function show() {
  const { view, within, query } = place();
  const name = `lite-${view}`;
  let shown = /** @type {Shown | null} */ (main.firstElementChild);
  if (shown?.localName !== name) {
    shown = /** @type {Shown} */ (document.createElement(name));
    main.replaceChildren(shown);
    scrollTo(0, 0);
  }
  document.body.dataset.view = view;
  shown.go?.(within, query);
  say(title, t(view));
  document.title = `${t(view)} · ${own().node}`;
  for (const [each, link] of links) {
    if (each === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Make the frame, in the language of now. */
function frame() {
  document.documentElement.lang = language();
  title = h("h1", { id: "title", tabindex: -1 });
  state = h("span.bot-state");
  banner = h("div.banner", { role: "alert", hidden: true });
  main = h("main", { id: "content", tabindex: -1, "aria-labelledby": "title" });
  links = new Map(VIEWS.map((view) => [
    view,
    h("a", { href: `#${view}` }, icon(view), h("span.word", null, t(view)), h("span.number")),
  ]));
  const tongue = h("button.plain", {
    type: "button",
    "aria-label": t("other language label"),
    lang: language() === "en" ? "zh-CN" : "en",
    onclick: () => {
      switchLanguage();
      frame();
      /** @type {HTMLElement | null} */ (document.querySelector("header button"))?.focus();
    },
  }, t("other language"));
  const limited = !mayChange()
    && h("span.badge", { title: t("read only why") }, t("read only"));
  const header = h("header", null,
    h("p.node", null, own().node),
    title,
    h("div.tools", null, limited, state, tongue),
  );
  const nav = h("nav", { "aria-label": t("views") },
    h("ul", null, ...[...links.values()].map((link) => h("li", null, link))));
  const skip = h("a.skip", { href: "#content" }, t("skip"));
  skip.addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  document.body.replaceChildren(skip, header, nav, banner, main);
  mountTold();
  show();
  if (over) sayOver();
  else look();
}

/** Say how the bot is, in the frame. */
function look() {
  const found = bot.status;
  const silent = bot.silentSince === null ? 0 : Date.now() - bot.silentSince;
  const time = about(silent / 1000);
  say(state, silent > 0 ? t("no answer", { time }) : found ? t("live") : "");
  state.classList.toggle("bad", silent > 0);
  if (!over) {
    banner.hidden = silent < SILENT;
    say(banner, silent < SILENT ? "" : t("no answer long"));
  }
  if (!found) return;
  const bad = troublesOf(found, [], bot.nodes).filter((each) => each.bad).length;
  number("overview", bad, t("problems"));
  number("channels", found.dead_letters, t("dead letters"));
}

/**
 * Show a number beside a link.
 * @param {View} view
 * @param {number} found
 * @param {string} label
 */
function number(view, found, label) {
  const link = links.get(view);
  const element = link?.lastElementChild;
  if (!link || !element) return;
  say(element, found ? String(found) : "");
  if (found) link.setAttribute("aria-label", `${t(view)}, ${label}: ${found}`);
  else link.removeAttribute("aria-label");
}

let over = false;

events.addEventListener("over", () => {
  if (over || !banner) {
    if (!banner) location.assign("/");
    return;
  }
  over = true;
  bot.end();
  sayOver();
});

function sayOver() {
  state.textContent = "";
  banner.hidden = false;
  banner.replaceChildren(h("span", null, t("over")), h("a.button", { href: "/" }, t("log in")));
}

window.addEventListener("hashchange", () => {
  show();
  title.focus({ preventScroll: true });
});

// The answers are on their way while the frame is made.
await begin();
frame();
bot.watch(look, EVERY);
