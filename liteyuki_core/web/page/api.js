/**
 * The bot's API, and who this session is.
 */

/** @import { Session } from "./types.js" */

/** The bot has answered that something can't be done. `status` is that of HTTP. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Tells `over` when the bot does not know this session any more. */
export const events = new EventTarget();

/** @type {Session} */
let session;

/** Ask who this session is. Called once, before anything else. */
export async function begin() {
  session = /** @type {Session} */ (await get("/session"));
  return session;
}

/** Return who this session is. */
export function own() {
  return session;
}

/** Return whether this session may change something. */
export function mayChange() {
  return session.right === "change";
}

/**
 * Ask for something. Raises `Problem`, and `TypeError` where nobody answers.
 * @param {string} path
 * @param {Query} [query]
 * @returns {Promise<unknown>}
 */
export function get(path, query) {
  return ask("GET", path + asked(query));
}

/**
 * Change something. Raises as `get` does.
 * @param {"POST" | "PUT" | "DELETE"} verb
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<unknown>}
 */
export function change(verb, path, body) {
  return ask(verb, path, body === undefined ? null : JSON.stringify(body));
}

/** End this session. */
export async function logOut() {
  await fetch("/logout", { method: "POST", headers: { "X-CSRF-Token": session.csrf } });
}

/**
 * @param {string} verb
 * @param {string} path
 * @param {string | null} [body]
 */
async function ask(verb, path, body) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (verb !== "GET") headers["X-CSRF-Token"] = session.csrf;
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/api${path}`, {
    method: verb,
    headers,
    body: body ?? null,
    cache: "no-store",
    signal: AbortSignal.timeout(90_000),
  });
  if (!answer.ok) throw await problemOf(answer);
  return await answer.json();
}

/**
 * Return what an answer says that went wrong.
 * @param {Response} answer
 */
export async function problemOf(answer) {
  if (answer.status === 401) events.dispatchEvent(new Event("over"));
  let message = `HTTP ${answer.status}`;
  try {
    message = (await answer.json()).message ?? message;
  } catch {
    // No JSON: another server answers in place of the bot.
  }
  return new Problem(answer.status, message);
}

/** @typedef {Record<string, string | number | boolean | readonly string[] | null | undefined>} Query */

/**
 * Return the query of an address, "" if there is none. What is empty is left out.
 * @param {Query} [query]
 */
export function asked(query) {
  const found = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") found.append(key, String(each));
    }
  }
  const text = found.toString();
  return text ? `?${text}` : "";
}

/**
 * Return a name as a part of a path. A key of the store may have slashes.
 * @param {string} name
 */
export function part(name) {
  return encodeURIComponent(name);
}
