/**
 * Channels and queues: their counts, who holds them, what goes over them, and what was set aside.
 */

import { change, get, mayChange, part, Problem } from "./api.js";
import * as bot from "./bot.js";
import { attempt, confirmed, sheet, tell } from "./dialog.js";
import { h, say, sync } from "./dom.js";
import { bytes, clock, count, moment } from "./format.js";
import { Stream } from "./stream.js";
import { Table } from "./table.js";
import { t } from "./words.js";

/** @typedef {import("./api.js").Channel} Channel */
/** @typedef {import("./api.js").ChannelEnds} ChannelEnds */
/** @typedef {import("./api.js").DeadLetter} DeadLetter */
/** @typedef {import("./api.js").Message} Message */

const EVERY = 3_000;
const MOST = 200;
const DRAW = 120;

export class Channels extends HTMLElement {
  constructor() {
    super();
    /** @type {string | null} null: nothing is shown yet */
    this._name = null;
  }

  disconnectedCallback() {
    this._stop();
    this.replaceChildren();
  }

  /** @param {string} within */
  go(within) {
    if (within === this._name) return;
    this._name = within;
    this._run();
  }

  /** @type {(() => void)[]} */
  _ends = [];
  /** @type {ReturnType<typeof bot.repeat> | undefined} */
  _asking;

  _stop() {
    for (const end of this._ends) end();
    this._ends = [];
  }

  _run() {
    this._stop();
    this.replaceChildren();
    if (this._name) this._one(this._name);
    else this._all();
  }

  // ------------------------------------------------------------- all of them

  _all() {
    const letters = letterTable((letter, verb) => this._act(letter, verb));
    const aside = h("section", { "aria-labelledby": "letters", hidden: true },
      h("h2", { id: "letters" }, t("dead letters")),
      h("p.muted", null, t("dead letters why")), letters.element);
    const table = channelTable();
    const none = h("p.muted", null, t("loading"));
    const filter = h("input", {
      type: "search", placeholder: t("filter names"), "aria-label": t("filter names"),
      autocomplete: "off", spellcheck: false, oninput: () => show(),
    });
    /** @type {Channel[] | null} */
    let found = null;
    const show = () => {
      if (!found) return;
      const text = filter.value.toLowerCase();
      const shown = found.filter(({ name }) => name.toLowerCase().includes(text));
      table.show(shown);
      none.hidden = shown.length > 0;
      say(none, t(found.length ? "no lines" : "no channels"));
    };
    this.append(aside, h("section", { "aria-labelledby": "all-channels" },
      h("h2", { id: "all-channels" }, t("channels")),
      h("form.filters", { role: "search", onsubmit: stay }, filter), table.element, none));
    this._asking = bot.repeat(async () => {
      const [channels, dead] = await Promise.all([get("/channels"), get("/dead-letters")]);
      found = /** @type {Channel[]} */ (channels);
      const set = /** @type {DeadLetter[]} */ (dead);
      aside.hidden = set.length === 0;
      letters.show(set);
      show();
    }, EVERY);
    this._ends.push(this._asking);
  }

  /**
   * @param {DeadLetter} letter
   * @param {"look" | "put-back" | "discard"} verb
   */
  async _act(letter, verb) {
    const { id, channel, process, crashes } = letter;
    if (verb === "look") {
      await attempt(() => look(letter));
      return;
    }
    const back = verb === "put-back";
    const effects = [back ? t("c put back", { channel, process, n: crashes }) : t("c discard")];
    const title = t(back ? "put back title" : "discard title");
    if (!(await confirmed(title, effects, t(back ? "put back" : "discard"), !back))) return;
    await attempt(async () => {
      await change("POST", `/dead-letters/${part(id)}/${verb}`);
      tell(t(back ? "done put back" : "done discard"));
    });
    bot.hurry();
    this._asking?.now();
  }

  // ------------------------------------------------------------- one of them

  /** @param {string} name */
  _one(name) {
    const facts = h("dl.about");
    const ends = endTable();
    const none = h("p.muted", null, t("loading"));
    const list = h("ol.messages", { "aria-label": t("peek") });
    const wait = h("p.muted", { role: "status", hidden: true });
    const note = h("p.muted", null, t("peek note", { n: MOST }));
    const bodies = h("input", { type: "checkbox", id: "bodies", onchange: () => {
      if (peek) begin();
    } });
    const button = h("button", { type: "button", "aria-pressed": false, onclick: () => {
      if (peek) end();
      else begin();
    } }, t("peek start"));
    /** @type {Stream | null} */
    let peek = null;
    /** @type {Message[]} */
    let messages = [];
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let drawing;
    let taken = 0;

    const draw = () => {
      drawing = undefined;
      const first = taken - messages.length;
      /** @type {[number, Message][]} */
      const numbered = messages.map((each, i) => [first + i, each]);
      sync(list, numbered.reverse(), ([number]) => String(number), ([, each]) => messageRow(each));
      if (messages.length) wait.hidden = true;
    };
    const end = () => {
      peek?.close();
      peek = null;
      clearTimeout(drawing);
      drawing = undefined;
      wait.hidden = true;
      say(button, t("peek start"));
      button.setAttribute("aria-pressed", "false");
    };
    const begin = () => {
      end();
      messages = [];
      list.replaceChildren();
      wait.hidden = false;
      say(wait, t("peek waits"));
      say(button, t("peek stop"));
      button.setAttribute("aria-pressed", "true");
      const query = { bodies: bodies.checked };
      peek = new Stream(`/channels/${part(name)}/tail`, query, (kind, data) => {
        if (kind === "lost") {
          wait.hidden = false;
          say(wait, t("peek lost", { n: data.lost }));
          return;
        }
        messages.push(/** @type {Message} */ (data));
        taken += 1;
        if (messages.length > MOST) messages = messages.slice(-MOST);
        drawing ??= setTimeout(draw, DRAW);
      }, (state, problem) => {
        if (state !== "lost" && state !== "ended") return;
        wait.hidden = false;
        say(wait, problem || t("reconnecting"));
      });
    };

    this.append(
      h("p", null, h("a", { href: "#channels" }, `← ${t("back")}`)),
      h("section", { "aria-labelledby": "channel-name" },
        h("h2.long", { id: "channel-name" }, name), facts),
      h("section", { "aria-labelledby": "channel-ends" },
        h("h2", { id: "channel-ends" }, t("ends")), ends.element, none),
      h("section", { "aria-labelledby": "channel-peek" },
        h("h2", { id: "channel-peek" }, t("peek")),
        h("div.bar", null, button, h("label", null, bodies, " ", t("peek bodies"))),
        note, wait, list),
    );
    this._ends.push(end, bot.repeat(async () => {
      /** @type {ChannelEnds} */
      let found;
      try {
        found = /** @type {ChannelEnds} */ (await get(`/channels/${part(name)}`));
      } catch (error) {
        if (error instanceof Problem) say(none, error.message);
        none.hidden = false;
        throw error;
      }
      ends.show(found.ends);
      none.hidden = found.ends.length > 0;
      say(none, t("no ends"));
      const shown = /** @type {[string, string][]} */ ([
        [t("queue"), t("waiting of", { n: count(found.backlog), capacity: count(found.capacity) })],
        [t("sent"), count(found.sent)],
        [t("done"), count(found.acknowledged)],
        [t("again"), count(found.redelivered)],
        [t("dropped"), count(found.dropped)],
        [t("bytes"), bytes(found.bytes)],
      ]);
      sync(facts, shown, ([label]) => label,
        ([label]) => h("div", null, h("dt", null, label), h("dd")),
        (row, [, value]) => row.lastElementChild && say(row.lastElementChild, value));
    }, EVERY));
  }
}

/** @param {Event} event */
function stay(event) {
  event.preventDefault();
}

/** @returns {Table<Channel>} */
function channelTable() {
  /** @type {(key: string, head: string, text: (each: Channel) => string) => import("./table.js").Column<Channel>} */
  const figure = (key, head, text) => (
    { key, head, right: true, show: (cell, each) => say(cell, text(each)) });
  return new Table(t("channels"), "channels", [
    { key: "name", head: t("channel"), show: (cell, each) => {
      if (!cell.firstChild) cell.append(h("a"));
      const link = cell.firstElementChild;
      if (!link) return;
      say(link, each.name);
      link.setAttribute("href", `#channels/${encodeURIComponent(each.name)}`);
    } },
    { key: "backlog", head: t("queue"), right: true, show: (cell, each) => {
      if (!cell.firstChild) cell.append(h("meter", { "aria-hidden": true, min: 0 }), h("span"));
      const [meter, text] = cell.children;
      if (meter instanceof HTMLMeterElement) {
        meter.max = each.capacity || 1;
        meter.high = (each.capacity || 1) * 0.75;
        meter.value = each.backlog;
      }
      if (text) say(text, t("waiting of", { n: count(each.backlog), capacity: count(each.capacity) }));
    } },
    figure("sent", t("sent"), (each) => count(each.sent)),
    figure("done", t("done"), (each) => count(each.acknowledged)),
    figure("again", t("again"), (each) => count(each.redelivered)),
    figure("dropped", t("dropped"), (each) => count(each.dropped)),
    figure("bytes", t("bytes"), (each) => bytes(each.bytes)),
  ], (each) => each.name);
}

/** @returns {Table<import("./api.js").End>} */
function endTable() {
  const sides = { owner: t("owner"), other: t("other"), queue: t("queue side") };
  return new Table(t("ends"), "ends", [
    { key: "name", head: t("process"), show: (cell, each) => say(cell, each.process ?? t("nothing")) },
    { key: "side", head: t("side"), show: (cell, each) => say(cell, sides[each.side]) },
    { key: "receives", head: t("receives"), show: (cell, each) => say(cell, t(each.receives ? "yes" : "no")) },
    { key: "held", head: t("held"), right: true, show: (cell, each) => say(cell, count(each.held)) },
    { key: "waiting", head: t("queue"), right: true, show: (cell, each) => say(cell, count(each.waiting)) },
  ], (each) => `${each.side} ${each.process}`);
}

// ------------------------------------------------------------- messages

/** @param {Message} message */
function messageRow(message) {
  const { sender, receiver, form, kind } = message;
  return h("li", null,
    h("span.time", null, clock(new Date(message.time))), " ",
    h("span.way", null, t("from to", { sender: sender ?? t("nothing"), receiver })), " ",
    h("small", null, [
      `#${message.number}`, bytes(message.size), t(/** @type {const} */ (`form ${form}`)),
      kind === "request" && t("request"), message.redelivered && t("redelivered"),
    ].filter(Boolean).join(" · ")),
    message.body !== null && h("code", null, message.body),
  );
}

/**
 * @param {(letter: DeadLetter, verb: "look" | "put-back" | "discard") => void} act
 * @returns {Table<DeadLetter>}
 */
function letterTable(act) {
  return new Table(t("dead letters"), "letters", [
    { key: "name", head: t("channel"), show: (cell, each) => say(cell, each.channel) },
    { key: "process", head: t("process"), show: (cell, each) => say(cell, each.process) },
    { key: "crashes", head: t("state"), show: (cell, each) => say(cell, t("crashes", { n: each.crashes })) },
    { key: "bytes", head: t("bytes"), right: true, show: (cell, each) => say(cell, bytes(each.size)) },
    { key: "time", head: t("time"), show: (cell, each) => say(cell, moment(each.time)) },
    { key: "actions", head: t("actions"), show: (cell, each) => {
      if (cell.firstChild) return;
      const label = (/** @type {string} */ verb) => `${verb}: ${each.channel}, ${moment(each.time)}`;
      const verbs = /** @type {const} */ ([
        ["look", t("look")], ["put-back", t("put back")], ["discard", t("discard")],
      ]);
      for (const [verb, text] of verbs) {
        if (verb !== "look" && !mayChange()) continue;
        cell.append(h("button", {
          type: "button", "aria-label": label(text), onclick: () => act(each, verb),
        }, text));
      }
    } },
  ], (each) => each.id);
}

/**
 * Show what is in a dead letter.
 * @param {DeadLetter} letter
 */
async function look(letter) {
  const found = /** @type {import("./api.js").DeadLetterContent} */ (
    await get(`/dead-letters/${part(letter.id)}`));
  const shown = found.text ?? JSON.stringify(found.value, null, 2);
  sheet(t("letter title", { channel: found.channel }), [
    h("p.muted", null, [
      found.process, t("crashes", { n: found.crashes }), bytes(found.size), moment(found.time),
    ].join(" · ")),
    found.plain || found.text !== null
      ? h("pre", { tabindex: 0 }, shown)
      : h("p", null, t("letter plain no")),
  ]);
}

