/**
 * What is shown of a process and done with it, here or on another node of the cluster.
 */

import { change, mayChange, part } from "./api.js";
import * as bot from "./bot.js";
import { attempt, confirmed, tell } from "./dialog.js";
import { h, sync } from "./dom.js";
import { parts } from "./table.js";
import { t } from "./words.js";

/** @import { Account, State } from "./types.js" */
/** @typedef {"start" | "stop" | "restart"} Verb */
/** @typedef {{name: string, state: State}} Shown */

/**
 * Show a state as a badge.
 * @param {HTMLElement} cell
 * @param {State | "gone"} state
 */
export function showState(cell, state) {
  const [badge] = parts(cell, ["span"], t(state));
  if (badge) badge.className = `badge ${state}`;
}

/**
 * Show the accounts of a process.
 * @param {HTMLElement} cell
 * @param {Account[]} found
 */
export function showAccounts(cell, found) {
  cell.classList.toggle("none", found.length === 0);
  sync(cell, found, (each) => `${each.adapter} ${each.id}`,
    () => h("span.account", null, h("span"), h("small")),
    (element, each) => {
      parts(element, [], each.nickname || each.id, t(each.state));
      element.className = `account ${each.state}`;
      element.title = `${each.id} · ${each.adapter}`;
    });
}

/**
 * Return what an account is called in a sentence.
 * @param {Account} account
 */
export function called({ id, nickname }) {
  return nickname ? `${id} (${nickname})` : id;
}

/**
 * Show what may be done with a process, behind what a cell has already.
 * @param {HTMLElement} cell
 * @param {Shown} process
 * @param {(verb: Verb) => string[]} effectsOf what will happen, in words
 * @param {string} [node] the node that has it, if that is another one
 */
export function showVerbs(cell, { name, state }, effectsOf, node = "") {
  if (!cell.querySelector("button")) {
    for (const verb of /** @type {Verb[]} */ (mayChange() ? ["restart", "stop", "start"] : [])) {
      const label = t("verb of", { verb: t(verb), name });
      const button = h("button", { type: "button", "aria-label": label, "data-verb": verb });
      button.textContent = t(verb);
      button.addEventListener("click", () => void act(name, verb, effectsOf(verb), node));
      cell.append(button);
    }
  }
  const down = state === "stopped" || state === "failed";
  const focused = document.activeElement;
  for (const child of cell.querySelectorAll("button")) {
    child.hidden = (child.dataset.verb === "start") !== down;
    child.disabled = state === "stopping" && child.dataset.verb === "stop";
    // A button that is about to vanish hands its focus on.
    if (child.hidden && child === focused) {
      cell.querySelector(/** @type {"a"} */ ("a, button:not([hidden])"))?.focus();
    }
  }
}

/**
 * Ask whether a process is to be started or stopped, and have it done.
 * @param {string} name
 * @param {Verb} verb
 * @param {string[]} effects
 * @param {string} node
 */
async function act(name, verb, effects, node) {
  const title = /** @type {const} */ (`${verb} title`);
  if (!(await confirmed(t(title, { name }), effects, t(verb), verb === "stop"))) return;
  const of = node && `?node=${part(node)}`;
  await attempt(async () => {
    await change("POST", `/processes/${part(name)}/${verb}${of}`);
    tell(t(/** @type {const} */ (`done ${verb}`), { name }));
  });
  bot.hurry();
}
