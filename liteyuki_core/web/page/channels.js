/**
 * Channels and queues: their counts, who holds them, what goes over them, and what was set aside.
 */

import { change, get, mayChange, part, Problem } from "./api.js";
import * as bot from "./bot.js";
import { attempt, confirmed, sheet, tell } from "./dialog.js";
import { filters, h, say, searchField } from "./dom.js";
import { bytes, clock, count, moment } from "./format.js";
import { Live, MOST } from "./live.js";
import { column, facts, parts, Table } from "./table.js";
import { t } from "./words.js";

/** @import { Channel, ChannelEnds, DeadLetter, DeadLetterContent, End, Message } from "./types.js" */

const EVERY = 3_000;

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

  // all of them

  _all() {
    const letters = letterTable((letter, verb) => this._act(letter, verb));
    const aside = h("section", { "aria-labelledby": "letters", hidden: true },
      h("h2", { id: "letters" }, t("dead letters")),
      h("p.muted", null, t("dead letters why")), letters.element);
    const table = channelTable();
    const none = h("p.muted", null, t("loading"));
    const filter = searchField(t("filter names"), () => show());
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
      filters(show, filter), table.element, none));
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

  // one of them

  /** @param {string} name */
  _one(name) {
    const about = h("dl.about");
    const ends = endTable();
    const none = h("p.muted", null, t("loading"));
    const bodies = h("input", { type: "checkbox", onchange: () => live.runs && live.start() });
    const live = new Live(t("peek"), [t("peek start"), t("peek stop"), t("peek waits")],
      () => [`/channels/${part(name)}/tail`, { bodies: bodies.checked }], messageRow);
    this.append(
      h("p", null, h("a", { href: "#channels" }, `← ${t("back")}`)),
      h("section", { "aria-labelledby": "channel-name" },
        h("h2.long", { id: "channel-name" }, name), about),
      h("section", { "aria-labelledby": "channel-ends" },
        h("h2", { id: "channel-ends" }, t("ends")), ends.element, none),
      h("section", { "aria-labelledby": "channel-peek" },
        h("h2", { id: "channel-peek" }, t("peek")),
        h("div.bar", null, live.button, h("label", null, bodies, " ", t("peek bodies"))),
        h("p.muted", null, t("peek note", { n: MOST })), live.element),
    );
    this._ends.push(() => live.stop(), bot.repeat(async () => {
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
      facts(about, [
        [t("queue"), t("waiting of", { n: count(found.backlog), capacity: count(found.capacity) })],
        [t("sent"), count(found.sent)],
        [t("done"), count(found.acknowledged)],
        [t("again"), count(found.redelivered)],
        [t("dropped"), count(found.dropped)],
        [t("bytes"), bytes(found.bytes)],
      ]);
    }, EVERY));
  }
}

/** @returns {Table<Channel>} */
function channelTable() {
  return new Table(t("channels"), "channels", [
    { key: "name", head: t("channel"), show: (cell, each) => {
      const [link] = parts(cell, ["a"], each.name);
      link?.setAttribute("href", `#channels/${encodeURIComponent(each.name)}`);
    } },
    { key: "backlog", head: t("queue"), right: true, show: (cell, each) => {
      const text = t("waiting of", { n: count(each.backlog), capacity: count(each.capacity) });
      const [meter] = parts(cell, ["meter", "span"], "", text);
      if (meter instanceof HTMLMeterElement) {
        meter.ariaHidden = "true";
        meter.max = each.capacity || 1;
        meter.high = (each.capacity || 1) * 0.75;
        meter.value = each.backlog;
      }
    } },
    column("sent", t("sent"), (each) => count(each.sent), true),
    column("done", t("done"), (each) => count(each.acknowledged), true),
    column("again", t("again"), (each) => count(each.redelivered), true),
    column("dropped", t("dropped"), (each) => count(each.dropped), true),
    column("bytes", t("bytes"), (each) => bytes(each.bytes), true),
  ], (each) => each.name);
}

/** @returns {Table<End>} */
function endTable() {
  const sides = { owner: t("owner"), other: t("other"), queue: t("queue side") };
  return new Table(t("ends"), "ends", [
    column("name", t("process"), (each) => each.process ?? t("nobody")),
    column("side", t("side"), (each) => sides[each.side]),
    column("receives", t("receives"), (each) => t(each.receives ? "yes" : "no")),
    column("held", t("held"), (each) => count(each.held), true),
    column("waiting", t("queue"), (each) => count(each.waiting), true),
  ], (each) => `${each.side} ${each.process}`);
}

// messages

/** @param {Message} message */
function messageRow(message) {
  const { sender, receiver, form, kind } = message;
  return h("li", null,
    h("span.time", null, clock(new Date(message.time))), " ",
    h("span.way", null, t("from to", { sender: sender ?? "–", receiver })), " ",
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
    column("name", t("channel"), (each) => each.channel),
    column("process", t("process"), (each) => each.process),
    column("crashes", t("crash"), (each) => t("crashes", { n: each.crashes })),
    column("bytes", t("bytes"), (each) => bytes(each.size), true),
    column("time", t("time"), (each) => moment(each.time)),
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
  const found = /** @type {DeadLetterContent} */ (
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

