/**
 * Tables that become cards where there is little room.
 *
 * They have the roles of a table in either form, so that a screen reader reads both alike.
 */

import { h, say, sync } from "./dom.js";

/**
 * @template T
 * @typedef {{key: string, head: string, right?: boolean,
 *   show: (cell: HTMLElement, item: T) => void}} Column
 * `show` is called again and again with the same cell. A column without `head` has no label.
 */

/**
 * Return a column that shows a text.
 * @template T
 * @param {string} key
 * @param {string} head
 * @param {(item: T) => string} text
 * @param {boolean} [right] whether it is of numbers
 * @returns {Column<T>}
 */
export function column(key, head, text, right = false) {
  return {
    key,
    head,
    right,
    show: (cell, item) => {
      const found = text(item);
      say(cell, found);
      cell.classList.toggle("none", found === "–");
    },
  };
}

/**
 * Return what shows some parts of texts in a cell: elements that are made once.
 * @param {HTMLElement} cell
 * @param {(keyof HTMLElementTagNameMap)[]} kinds
 * @param {...string} texts
 * @returns {HTMLElement[]}
 */
export function parts(cell, kinds, ...texts) {
  if (!cell.firstChild) cell.append(...kinds.map((kind) => h(kind)));
  const found = /** @type {HTMLElement[]} */ ([...cell.children]);
  texts.forEach((text, place) => {
    const part = found[place];
    if (part) say(part, text);
  });
  return found;
}

/**
 * Show facts in a list: each its name and its value.
 * @param {HTMLElement} list
 * @param {string[][]} pairs
 */
export function facts(list, pairs) {
  sync(list, pairs, ([name = ""]) => name,
    () => h("div", null, h("dt"), h("dd")),
    (row, pair) => void parts(row, [], ...pair));
}

/**
 * One table. `show` makes its rows those of some items.
 * @template T
 */
export class Table {
  /**
   * @param {string} label what a screen reader calls it
   * @param {string} kind a class
   * @param {Column<T>[]} columns
   * @param {(item: T) => string} keyOf
   */
  constructor(label, kind, columns, keyOf) {
    this._columns = columns;
    this._keyOf = keyOf;
    this._body = h("div.body", { role: "rowgroup" });
    const heads = columns.map(({ key, head, right }) =>
      h("div", { role: "columnheader", class: right ? `${key} right` : key }, head),
    );
    this.element = h(
      "div.table",
      { role: "table", "aria-label": label },
      h("div.heads", { role: "rowgroup" }, h("div.row", { role: "row" }, ...heads)),
      this._body,
    );
    this.element.classList.add(kind);
  }

  /** @param {readonly T[]} items */
  show(items) {
    this.element.hidden = items.length === 0;
    sync(
      this._body,
      items,
      this._keyOf,
      () => this._row(),
      (row, item) => {
        this._columns.forEach((column, place) => {
          column.show(/** @type {HTMLElement} */ (row.children[place]), item);
        });
      },
    );
  }

  _row() {
    const cells = this._columns.map(({ key, head, right }) =>
      h("div", { role: "cell", class: right ? `${key} right` : key, "data-label": head }),
    );
    return h("div.row", { role: "row" }, ...cells);
  }
}
