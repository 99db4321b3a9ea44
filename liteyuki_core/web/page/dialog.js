/**
 * Questions, sheets, and what the page says by the way.
 */

import { Problem } from "./api.js";
import { h } from "./dom.js";
import { t } from "./words.js";

let made = 0;

/**
 * Open a sheet over the page. It is closed by Escape, by its button, or by `close`.
 * @param {string} title
 * @param {(Node | false)[]} content
 * @param {HTMLElement[]} [buttons] beside the one that closes it
 * @param {string} [last] what stands on that one
 */
export function sheet(title, content, buttons = [], last = t("close")) {
  const id = `sheet-${(made += 1)}`;
  const closing = h("button", { type: "button", onclick: () => dialog.close() }, last);
  const dialog = h(
    "dialog",
    { "aria-labelledby": id },
    h("h2", { id }, title),
    h("div.sheet", null, ...content),
    h("div.buttons", null, closing, ...buttons),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Ask whether something is to be done, and return the answer.
 * @param {string} title
 * @param {string[]} effects what will happen, in words
 * @param {string} verb
 * @param {boolean} [harms]
 * @returns {Promise<boolean>}
 */
export function confirmed(title, effects, verb, harms = false) {
  return new Promise((resolve) => {
    let sure = false;
    const button = h(`button.${harms ? "harms" : "first"}`, { type: "button", onclick: yes }, verb);
    const dialog = sheet(title, effects.map((text) => h("p", null, text)), [button], t("cancel"));
    dialog.addEventListener("close", () => resolve(sure));
    function yes() {
      sure = true;
      dialog.close();
    }
  });
}

const told = h("div.told", { role: "status" });
/** @type {ReturnType<typeof setTimeout>} */
let hiding;

/** Put what is said by the way into the page. */
export function mountTold() {
  document.body.append(told);
}

/**
 * Say something by the way, for a few seconds.
 * @param {string} text
 * @param {boolean} [bad]
 */
export function tell(text, bad = false) {
  clearTimeout(hiding);
  told.textContent = text;
  told.classList.toggle("bad", bad);
  hiding = setTimeout(() => (told.textContent = ""), bad ? 10_000 : 4_000);
}

/**
 * Return what an error says, for people.
 * @param {unknown} error
 */
export function reason(error) {
  return error instanceof Problem ? error.message : t("offline problem");
}

/**
 * Do something that may fail; then say so. Returns whether it went well.
 * @param {() => Promise<unknown>} does
 */
export async function attempt(does) {
  try {
    await does();
    return true;
  } catch (error) {
    tell(t("failed here", { problem: reason(error) }), true);
    return false;
  }
}
