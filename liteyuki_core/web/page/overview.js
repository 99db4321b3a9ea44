/**
 * The overview: what is wrong, in words, and all processes.
 */

import { get, own } from "./api.js";
import * as bot from "./bot.js";
import { h, say, sync } from "./dom.js";
import { about, bytes, count, delay, duration, percent, since } from "./format.js";
import { Nodes, troublesOfNodes } from "./nodes.js";
import { called, showAccounts, showState, showVerbs } from "./process.js";
import { column, facts, parts, Table } from "./table.js";
import { language, t } from "./words.js";

/** @import { Channel, Node, Process, State, Status } from "./types.js" */
/** @import { Verb } from "./process.js" */
/**
 * @typedef {{key: string, bad: boolean, text: string, href: string}} Trouble
 * `href` is "" where nothing here says more.
 */

const EVERY = 3_000;
const CHANNELS_EVERY = 6_000;
/** Seconds for which a start, a stop, or a loop that does not turn is nothing to be told. */
const LONG = 30;
const STUCK = 1;
const FULL = 0.9;

export class Overview extends HTMLElement {
  constructor() {
    super();
    /** @type {Channel[]} */
    this._channels = [];
    this._troubles = h("ul.troubles");
    this._well = h("p.well", { role: "status" });
    this._table = table();
    this._none = h("p.muted", { hidden: true }, t("no processes"));
    this._nodes = new Nodes();
    this._about = h("dl.about");
    /** @type {(() => void)[]} */
    this._ends = [];
  }

  connectedCallback() {
    this.append(
      h("section", { "aria-label": t("problems") }, this._well, this._troubles),
      h("section", { "aria-labelledby": "processes" },
        h("h2", { id: "processes" }, t("processes")), this._table.element, this._none),
      this._nodes.element,
      h("section", { "aria-labelledby": "about-bot" },
        h("h2", { id: "about-bot" }, t("about bot")), this._about),
    );
    this._show();
    this._ends = [
      bot.watch(() => this._show(), EVERY),
      bot.repeat(async () => {
        this._channels = /** @type {Channel[]} */ (await get("/channels"));
      }, CHANNELS_EVERY),
    ];
  }

  disconnectedCallback() {
    for (const end of this._ends) end();
    this.replaceChildren();
  }

  _show() {
    const found = bot.status;
    if (!found) return;
    const troubles = troublesOf(found, this._channels, bot.nodes);
    say(this._well, troubles.length ? "" : wellOf(found));
    this._well.hidden = troubles.length > 0 || !found.processes.length;
    sync(this._troubles, troubles, (each) => each.key, makeTrouble, (row, each) => {
      row.classList.toggle("bad", each.bad);
      const [, link] = parts(row, [], each.text);
      link?.toggleAttribute("hidden", !each.href);
      link?.setAttribute("href", each.href);
      link?.setAttribute("aria-label", `${t("look")}: ${each.text}`);
    });
    this._troubles.hidden = troubles.length === 0;
    this._table.show(found.processes);
    this._none.hidden = found.processes.length > 0;
    this._nodes.show(bot.nodes);
    facts(this._about, [
      ...(found.node === null ? [] : [[t("node"), found.node]]),
      [t("machine"), own().node],
      [t("directory"), found.directory],
      [t("version"), found.version],
      [t("pid"), String(found.pid)],
      [t("uptime"), duration(found.uptime)],
      [t("memory"), bytes(found.memory)],
    ]);
  }
}

/**
 * Return where the lines of a process are.
 * @param {string} name
 */
function logOf(name) {
  return `#log?process=${encodeURIComponent(name)}`;
}

/**
 * Return how a process has ended last.
 * @param {Process} process
 */
function outcomeOf(process) {
  return (language() === "en" ? process.outcome : process.outcome_zh) ?? "";
}

/**
 * Return what is wrong, the worst first.
 * @param {Status} found
 * @param {Channel[]} channels
 * @param {Node[]} nodes the others of the cluster
 * @returns {Trouble[]}
 */
export function troublesOf(found, channels, nodes) {
  /** @type {Trouble[]} */
  const bad = [];
  /** @type {Trouble[]} */
  const less = [];
  const states = new Map(found.processes.map((each) => [each.name, each.state]));
  for (const process of found.processes) {
    const { name, state } = process;
    const href = logOf(name);
    const outcome = outcomeOf(process);
    const why = outcome ? t("why", { outcome }) : "";
    const key = `process ${name}`;
    const age = process.uptime ?? 0;
    if (state === "failed") {
      bad.push({ key, bad: true, text: t("p failed", { name, why }), href });
    } else if (state === "backoff") {
      bad.push({ key, bad: true, text: t("p backoff", { name, why }), href });
    } else if (state === "starting" && age > LONG) {
      less.push({ key, bad: false, text: t("p starting", { name, time: about(age) }), href });
    } else if (process.loop_lag !== null && process.loop_lag > STUCK) {
      const time = about(process.loop_lag);
      const text = t("p lag", { name, state: shouted(state), time });
      bad.push({ key, bad: true, text, href });
    }
  }
  for (const account of found.accounts) {
    if (account.state === "online") continue;
    const state = states.get(account.process);
    // Of a process that is down, its own words say enough.
    if (state !== "running") continue;
    bad.push({
      key: `account ${account.process} ${account.adapter} ${account.id}`,
      bad: true,
      text: t("p account", {
        name: account.process,
        state: shouted(state),
        account: called(account),
        what: t(account.state),
        time: about(since(account.since)),
      }),
      href: logOf(account.process),
    });
  }
  bad.push(...troublesOfNodes(nodes));
  for (const channel of channels) {
    if (channel.capacity > 0 && channel.backlog >= channel.capacity * FULL) {
      less.push({
        key: `channel ${channel.name}`,
        bad: false,
        text: t("p full", {
          name: channel.name, n: count(channel.backlog), capacity: count(channel.capacity),
        }),
        href: `#channels/${encodeURIComponent(channel.name)}`,
      });
    }
  }
  if (found.dead_letters) {
    const text = t("p letters", { n: found.dead_letters });
    less.push({ key: "letters", bad: false, text, href: "#channels" });
  }
  return [...bad, ...less];
}

/** @param {State} state */
function shouted(state) {
  return t(state).toUpperCase();
}

/** @param {Status} found */
function wellOf(found) {
  const running = found.processes.filter(({ state }) => state === "running").length;
  const online = found.accounts.filter(({ state }) => state === "online").length;
  return t("all well", {
    running: t("n run", { n: running }),
    online: found.accounts.length ? t("n online", { n: online }) : t("no accounts"),
  });
}

function makeTrouble() {
  return h("li", null, h("span"), h("a", null, t("look")));
}

// processes

/** @returns {Table<Process>} */
function table() {
  /** @type {import("./table.js").Column<Process>[]} */
  const columns = [
    { key: "name", head: t("name"), show: (cell, each) => {
      parts(cell, ["strong", "small"], each.name, each.target);
      cell.title = each.target;
    } },
    { key: "state", head: t("state"), show: (cell, each) => showState(cell, each.state) },
    column("uptime", t("uptime"), (each) => duration(each.uptime), true),
    { key: "restarts", head: t("restarts"), right: true, show: (cell, each) => {
      const code = each.exit_code;
      const exit = code === null ? "" : t("last exit", { code });
      parts(cell, ["span", "small"], count(each.restarts), exit);
      cell.title = outcomeOf(each);
    } },
    column("cpu", t("cpu"), (each) => percent(each.cpu), true),
    column("memory", t("memory"), (each) => bytes(each.memory), true),
    column("lag", t("lag"), (each) => delay(each.loop_lag), true),
    column("queue", t("queue"), (each) => count(each.queue), true),
    { key: "accounts", head: t("accounts"), show: (cell, { name }) => showAccounts(cell,
      (bot.status?.accounts ?? []).filter(({ process }) => process === name)) },
    { key: "actions", head: t("actions"), show: showActions },
  ];
  return new Table(t("processes"), "processes", columns, (each) => each.name);
}

/**
 * @param {HTMLElement} cell
 * @param {Process} process
 */
function showActions(cell, process) {
  const { name } = process;
  if (!cell.firstChild) {
    cell.append(h("a.button", { href: logOf(name), "aria-label": t("log of", { name }) }, t("log")));
  }
  showVerbs(cell, process, (verb) => effectsOf(name, verb));
}

/**
 * Return what will happen, in words.
 * @param {string} name
 * @param {Verb} verb
 */
function effectsOf(name, verb) {
  const n = bot.status?.processes.find((each) => each.name === name)?.queue ?? 0;
  if (verb === "start") return [t("c start"), ...(n ? [t("c start waits", { n })] : [])];
  const effects = [t(verb === "stop" ? "c stop" : "c restart")];
  const accounts = (bot.status?.accounts ?? [])
    .filter((each) => each.process === name && each.state === "online")
    .map(called);
  if (accounts.length) {
    effects.push(t("c account", { n: accounts.length, accounts: accounts.join(", ") }));
  }
  const needing = (bot.status?.processes ?? []).filter((each) => each.depends_on.includes(name));
  if (needing.length) {
    const names = needing.map((each) => each.name).join(", ");
    effects.push(t("c needed", { n: needing.length, names }));
  }
  effects.push(n ? t(verb === "stop" ? "c waits stop" : "c waits", { n }) : t("c queue"));
  return effects;
}
