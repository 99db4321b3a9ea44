/**
 * The other nodes of the cluster, with their processes. What is wrong comes first.
 */

import { h, say, sync } from "./dom.js";
import { about, count, duration, since } from "./format.js";
import { called, showAccounts, showState, showVerbs } from "./process.js";
import { column, parts, Table } from "./table.js";
import { t } from "./words.js";

/** @import { Node, NodeProcess } from "./types.js" */
/** @import { Trouble } from "./overview.js" */

const DOWN = ["failed", "backoff"];
/** So many nodes are shown with their processes; of more, those where something is wrong. */
const FEW = 4;

/**
 * Return what is wrong on other nodes.
 * @param {Node[]} nodes
 * @returns {Trouble[]}
 */
export function troublesOfNodes(nodes) {
  /** @type {Trouble[]} */
  const found = [];
  for (const node of nodes) {
    const key = `node ${node.name}`;
    if (node.state === "gone") {
      const text = t("p gone", { node: node.name, time: about(since(node.seen)) });
      found.push({ key, bad: true, text, href: "" });
    }
    for (const { name, state } of node.processes) {
      if (DOWN.includes(state)) {
        const text = t(state === "failed" ? "p failed" : "p backoff", { 
          name: t("on node", { node: node.name, name }), why: "",
        });
        found.push({ key: `${key} ${name}`, bad: true, text, href: "" });
      }
    }
    for (const account of node.state === "running" ? node.accounts : []) {
      const process = node.processes.find(({ name }) => name === account.process);
      if (account.state === "online" || process?.state !== "running") continue;
      found.push({
        key: `${key} ${account.process} ${account.adapter} ${account.id}`,
        bad: true,
        text: t("p account", {
          name: t("on node", { node: node.name, name: account.process }),
          state: t("running").toUpperCase(),
          account: called(account),
          what: t(account.state),
          time: about(since(account.since)),
        }),
        href: "",
      });
    }
  }
  return found;
}

export class Nodes {
  constructor() {
    this._list = h("div.nodes");
    /** @type {Map<string, Table<NodeProcess>>} */
    this._tables = new Map();
    this.element = h("section", { "aria-labelledby": "nodes", hidden: true },
      h("h2", { id: "nodes" }, t("nodes")), this._list);
  }

  /** @param {Node[]} nodes */
  show(nodes) {
    this.element.hidden = nodes.length === 0;
    const sorted = [...nodes].sort((a, b) => Number(a.ok) - Number(b.ok));
    sync(this._list, sorted, ({ name }) => name,
      (node) => this._made(node, nodes.length <= FEW), (part, node) => this._update(part, node));
  }

  /**
   * @param {Node} node
   * @param {boolean} few
   */
  _made(node, few) {
    const table = tableOf(node.name);
    this._tables.set(node.name, table);
    const summary = h("summary", null, h("strong", null, node.name), h("span"), h("small"));
    return h("details", { open: few || !node.ok }, summary, table.element);
  }

  /**
   * @param {HTMLElement} part
   * @param {Node} node
   */
  _update(part, node) {
    const [, state, facts] = /** @type {HTMLElement[]} */ ([...(part.firstElementChild?.children ?? [])]);
    if (!state || !facts) return;
    showState(state, node.state);
    say(facts, factsOf(node));
    accountsOf.set(node.name, node.accounts);
    this._tables.get(node.name)?.show(node.processes);
  }
}

/** @type {Map<string, import("./types.js").Account[]>} */
const accountsOf = new Map();

/** @param {Node} node */
function factsOf({ state, seen, processes, accounts }) {
  if (state !== "running") return t("seen", { time: about(since(seen)) });
  const running = processes.filter((each) => each.state === "running").length;
  const online = accounts.filter((each) => each.state === "online").length;
  const all = t("n of run", { running, n: processes.length });
  return accounts.length ? `${all} · ${t("n of online", { online, n: accounts.length })}` : all;
}

/** @param {string} node */
function tableOf(node) {
  /** @type {import("./table.js").Column<NodeProcess>[]} */
  const columns = [
    { key: "name", head: t("name"), show: (cell, each) => void parts(cell, ["strong"], each.name) },
    { key: "state", head: t("state"), show: (cell, each) => showState(cell, each.state) },
    column("uptime", t("uptime"), (each) => duration(each.uptime), true),
    column("restarts", t("restarts"), (each) => count(each.restarts), true),
    column("pid", t("pid"), (each) => (each.pid === null ? "–" : String(each.pid)), true),
    { key: "accounts", head: t("accounts"), show: (cell, each) => showAccounts(cell,
      (accountsOf.get(node) ?? []).filter(({ process }) => process === each.name)) },
    { key: "actions", head: t("actions"), show: (cell, each) => showVerbs(cell, each,
      (verb) => [t("c node", { node }), t(`c ${verb}`)], node) },
  ];
  const table = new Table(t("processes of", { node }), "processes", columns, (each) => each.name);
  table.element.classList.add("there");
  return table;
}
