/**
 * Tables that become cards where there is little room.
 *
 * They have the roles of a table in either form, so that a screen reader reads both alike.
 */

import { h, sync } from "./dom.js";

/**
 * @template T
 * @typedef {{key: string, head: string, right?: boolean,
 *   show: (cell: HTMLElement, item: T) => void}} Column
 * `show` is called again and again with the same cell. A column without `head` has no label.
 */

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
