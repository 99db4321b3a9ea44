/**
 * A list of what comes now: messages of a channel, changes of the store. Its button starts it.
 */

import { h, say } from "./dom.js";
import { Stream } from "./stream.js";
import { t } from "./words.js";

export const MOST = 200;
const DRAW = 100;

/** Owns its stream, from `start` to `stop`. */
export class Live {
  /**
   * @param {string} label
   * @param {[string, string, string]} words to start, to stop, and while nothing has come
   * @param {() => [string, import("./api.js").Query]} source the path and query of the stream
   * @param {(data: any) => HTMLElement} row
   */
  constructor(label, words, source, row) {
    this._words = words;
    this._source = source;
    this._row = row;
    /** @type {any[]} */
    this._come = [];
    /** @type {Stream | null} */
    this._stream = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._drawing = undefined;
    this.button = h("button", {
      type: "button", "aria-pressed": false,
      onclick: () => (this.runs ? this.stop() : this.start()),
    }, words[0]);
    this._list = h("ol.messages", { "aria-label": label, tabindex: 0 });
    this._said = h("p.muted", { role: "status" });
    this.element = h("div", { hidden: true }, this._said, this._list);
  }

  /** Whether it is started. */
  get runs() {
    return this._stream !== null;
  }

  /** Begin with an empty list. */
  start() {
    this.stop();
    this._list.replaceChildren();
    this._show(true);
    say(this._said, this._words[2]);
    const [path, query] = this._source();
    this._stream = new Stream(path, query, (kind, data) => {
      if (kind === "lost") {
        say(this._said, t("peek lost", { n: data.lost }));
        return;
      }
      this._come.push(data);
      this._drawing ??= setTimeout(() => this._draw(), DRAW);
    }, (state, problem) => {
      if (state === "lost") say(this._said, t("reconnecting"));
      if (state === "ended") say(this._said, problem);
      if (state === "live" && this._list.firstChild) say(this._said, "");
    });
  }

  /** Take no more. What has come stays. Idempotent. */
  stop() {
    this._stream?.close();
    this._stream = null;
    clearTimeout(this._drawing);
    this._drawing = undefined;
    this._come = [];
    say(this._said, "");
    this._show(false);
  }

  /** @param {boolean} runs */
  _show(runs) {
    say(this.button, this._words[runs ? 1 : 0]);
    this.button.setAttribute("aria-pressed", String(runs));
    this.element.hidden = !runs && !this._list.firstChild;
  }

  _draw() {
    this._drawing = undefined;
    const rows = this._come.slice(-MOST).map(this._row);
    this._come = [];
    say(this._said, "");
    this._list.prepend(...rows.reverse());
    while (this._list.children.length > MOST) this._list.lastElementChild?.remove();
  }
}
