/**
 * The bot's API, and who this session is.
 */

/**
 * @typedef {"starting" | "running" | "stopping" | "backoff" | "stopped" | "failed"} State
 * @typedef {{name: string, target: string, state: State, pid: number | null,
 *   started_at: string | null, uptime: number | null, restarts: number,
 *   exit_code: number | null, outcome: string | null, cpu: number | null,
 *   cpu_seconds: number | null, memory: number | null, loop_lag: number | null,
 *   queue: number, depends_on: string[]}} Process
 * @typedef {{adapter: string, id: string, process: string,
 *   state: "online" | "offline" | "disconnected", since: string, nickname: string}} Account
 * @typedef {{version: string, pid: number, directory: string, started_at: string,
 *   uptime: number, ok: boolean, dead_letters: number, memory: number | null,
 *   cpu_seconds: number | null, processes: Process[], accounts: Account[]}} Status
 * @typedef {{name: string, sent: number, acknowledged: number, redelivered: number,
 *   dropped: number, backlog: number, capacity: number, bytes: number}} Channel
 * @typedef {{process: string | null, side: "owner" | "other" | "queue", receives: boolean,
 *   held: number, waiting: number}} End
 * @typedef {Channel & {ends: End[]}} ChannelEnds
 * @typedef {{time: string, channel: string, number: number,
 *   direction: "out" | "in" | "queue", kind: "message" | "request", sender: string | null,
 *   receiver: string, size: number, form: "text" | "bytes" | "pickle",
 *   redelivered: boolean, body: string | null}} Message
 * @typedef {{id: string, channel: string, process: string, crashes: number, size: number,
 *   time: string}} DeadLetter
 * @typedef {DeadLetter & {plain: boolean, value: unknown, text: string | null}} DeadLetterContent
 * @typedef {{key: string, size: number, expires_in: number | null, persistent: boolean}} StoreKey
 * @typedef {StoreKey & {plain: boolean, value: unknown}} StoreValue
 * @typedef {{time: string, key: string, deleted: boolean, expired: boolean, size: number,
 *   plain: boolean, value: unknown}} Change
 * @typedef {"TRACE" | "DEBUG" | "INFO" | "SUCCESS" | "WARNING" | "ERROR" | "CRITICAL"} Level
 * @typedef {{id: string, time: string, process: string, level: Level | null, text: string,
 *   position: string}} Line
 * @typedef {{lines: Line[], more: boolean, next: string | null}} LogPage
 * @typedef {{key: string, value: unknown, source: string | null, changed: boolean}} Setting
 * @typedef {{memory: (number | null)[], cpu: (number | null)[], lag: (number | null)[],
 *   messages: (number | null)[], queue: (number | null)[]}} Series
 * @typedef {{step: number, end: string, main: Series,
 *   processes: Record<string, Series>}} Figures
 * @typedef {{right: "change" | "read", csrf: string, language: "zh" | "en", version: string,
 *   life: string, node: string}} Session
 */

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
