/**
 * How the bot is: asked again and again while somebody looks.
 */

import { get } from "./api.js";

/** @import { Node, Status } from "./types.js" */

/** The last answer, null before the first. @type {Status | null} */
export let status = null;

/** The other nodes of its cluster. @type {Node[]} */
export let nodes = [];

/** Since when the bot does not answer, in milliseconds; null if it does. @type {number | null} */
export let silentSince = null;

/** @type {Map<() => void, number>} */
const listeners = new Map();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let asking = false;
let hurried = 0;

const HURRY = 600;
const SLOWEST = 15_000;

/**
 * Have `call` called after each answer, and each time that none comes. Returns what ends that.
 * @param {() => void} call
 * @param {number} every in milliseconds
 */
export function watch(call, every) {
  listeners.set(call, every);
  void ask();
  return () => {
    listeners.delete(call);
  };
}

/** Ask at once, and more often for a while: something is changing. */
export function hurry() {
  hurried = Date.now() + 12_000;
  void ask();
}

async function ask() {
  if (asking) return;
  clearTimeout(timer);
  asking = true;
  try {
    status = /** @type {Status} */ (await get("/status"));
    if (status.node !== null) {
      const found = /** @type {Node[]} */ (await get("/nodes"));
      nodes = found.filter((each) => !each.this);
    }
    silentSince = null;
  } catch {
    silentSince ??= Date.now();
  }
  asking = false;
  for (const call of [...listeners.keys()]) call();
  const every = Date.now() < hurried ? HURRY : Math.min(SLOWEST, ...listeners.values());
  if (!document.hidden) timer = setTimeout(ask, every);
}

/** Ask no more: the session is over. */
export function end() {
  listeners.clear();
  clearTimeout(timer);
  asking = true;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else void ask();
});

/**
 * Call something now and again, while the page is seen. Returns what ends that; its `now` does not
 * wait for the next time.
 * @param {() => Promise<void>} does
 * @param {number} every in milliseconds, from the end of one call to the next
 */
export function repeat(does, every) {
  let open = true;
  let busy = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let next;
  async function run() {
    clearTimeout(next);
    if (!open || busy || document.hidden) return;
    busy = true;
    try {
      await does();
    } catch {
      // The frame says that the bot does not answer.
    }
    busy = false;
    if (open && !document.hidden) next = setTimeout(run, every);
  }
  document.addEventListener("visibilitychange", run);
  void run();
  const end = () => {
    open = false;
    clearTimeout(next);
    document.removeEventListener("visibilitychange", run);
  };
  return Object.assign(end, { now: () => void run() });
}
