/**
 * Elements made by hand. What comes from the bot becomes text and never markup.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

/** Attributes that say "true" and "false"; the others are there or not. */
const SAYS = /^(aria-.*|spellcheck)$/;

/**
 * Make an element: `h("p.muted", {id: "a"}, "text")`. Props that begin with `on` are listeners.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T | `${T}.${string}`} kind its name, and its classes
 * @param {Record<string, unknown> | null} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(kind, props, ...children) {
  const [name, ...classes] = kind.split(".");
  const element = document.createElement(/** @type {T} */ (name));
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || (value === false && !SAYS.test(key))) continue;
    if (key.startsWith("on")) {
      element.addEventListener(key.slice(2), /** @type {EventListener} */ (value));
    } else {
      element.setAttribute(key, value === true && !SAYS.test(key) ? "" : String(value));
    }
  }
  put(element, ...children);
  return element;
}

/**
 * Append children that are there.
 * @param {Element} parent
 * @param {...Child} children
 */
export function put(parent, ...children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Make a field in which a part of names is typed.
 * @param {string} label
 * @param {() => void} typed
 */
export function searchField(label, typed) {
  return h("input", {
    type: "search", placeholder: label, "aria-label": label, autocomplete: "off",
    autocapitalize: "none", spellcheck: false, maxlength: 1024, oninput: typed,
  });
}

/**
 * Make a row of fields that filter what is below.
 * @param {() => void} entered
 * @param {...Child} fields
 */
export function filters(entered, ...fields) {
  const form = h("form.filters", { role: "search" }, ...fields);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    entered();
  });
  return form;
}

/**
 * Set a text where it has changed: a screen reader does not read it again else.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Make the children of an element those of `items`, in their order.
 *
 * A child that is known by its key stays the same, so that it keeps the focus.
 * @template T
 * @template {HTMLElement} E
 * @param {Element} parent
 * @param {readonly T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => E} make
 * @param {(element: E, item: T) => void} [update]
 */
export function sync(parent, items, keyOf, make, update) {
  /** @type {Map<string, E>} */
  const known = new Map();
  for (const child of [...parent.children]) {
    const element = /** @type {E} */ (child);
    known.set(element.dataset.key ?? "", element);
  }
  /** @type {Element | null} */
  let before = null;
  for (const item of items) {
    const key = keyOf(item);
    let element = known.get(key);
    if (element === undefined) {
      element = make(item);
      element.dataset.key = key;
    }
    known.delete(key);
    update?.(element, item);
    /** @type {Element | null} */
    const next = before === null ? parent.firstElementChild : before.nextElementSibling;
    if (next !== element) parent.insertBefore(element, next);
    before = element;
  }
  for (const element of known.values()) element.remove();
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an SVG element.
 * @param {string} name
 * @param {Record<string, string | number>} props
 * @param {...(Node | string)} children
 * @returns {SVGElement}
 */
export function svg(name, props, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(props)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** What the icons are drawn of, on a square of 24 units. */
const ICONS = {
  overview: "M4 5h16v6H4zM4 15h7v4H4zM15 15h5v4h-5z",
  log: "M4 6h16M4 10h16M4 14h10M4 18h13",
  charts: "M4 4v16h16M8 15l3-4 3 2 5-7",
  channels: "M4 8h13l-3-3M20 16H7l3 3",
  store: "M5 7c0-3 14-3 14 0v10c0 3-14 3-14 0zM5 7c0 3 14 3 14 0M5 12c0 3 14 3 14 0",
  settings: "M4 7h8M16 7h4M14 5v4M4 17h4M12 17h8M10 15v4",
};

/**
 * Make an icon, which a screen reader passes over.
 * @param {keyof typeof ICONS} name
 */
export function icon(name) {
  const drawn = svg("path", { d: ICONS[name] });
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, drawn);
}
