/**
 * Follows what goes on: server-sent events that outlive sleep and lost connections.
 *
 * A browser's own `EventSource` gives up at the first answer that is no stream, and does not notice
 * that its connection died while the machine slept. This one comes again and says where it was.
 */

import { asked, problemOf } from "./api.js";

/** @typedef {"connecting" | "live" | "lost" | "ended"} Connection */

const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;
/** A connection that is back so soon is not told as lost. */
const UNSEEN = 1_500;
const LOOK = 5_000;
/** So much later than it should a timer comes only if the machine has slept. */
const SLEPT = 15_000;
/** After so long in the background a connection is not trusted any more. */
const AWAY = 30_000;

/** One stream, from its making to `close`. It owns its connection and its timers. */
export class Stream {
  /**
   * @param {string} path
   * @param {import("./api.js").Query} query
   * @param {(name: string, data: any) => void} tell is given each event
   * @param {(state: Connection, problem: string) => void} [connected]
   */
  constructor(path, query, tell, connected) {
    this._url = `/api${path}${asked(query)}`;
    this._tell = tell;
    this._connected = connected;
    this._last = "";
    this._open = true;
    this._wait = FIRST_WAIT;
    this._reading = new AbortController();
    /** @type {(() => void) | null} */
    this._wake = null;
    this._looked = Date.now();
    this._heard = Date.now();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._telling = undefined;
    this._timer = setInterval(() => this._look(), LOOK);
    this._back = () => this._isBack();
    document.addEventListener("visibilitychange", this._back);
    window.addEventListener("online", this._back);
    void this._run();
  }

  /** Tell no more. Idempotent. */
  close() {
    this._open = false;
    clearInterval(this._timer);
    clearTimeout(this._telling);
    document.removeEventListener("visibilitychange", this._back);
    window.removeEventListener("online", this._back);
    this._reading.abort();
    this._wake?.();
  }

  /** Connect anew, and go on after the last event. */
  again() {
    this._wait = FIRST_WAIT;
    this._reading.abort();
    this._wake?.();
  }

  _look() {
    const now = Date.now();
    const slept = now - this._looked > LOOK + SLEPT;
    this._looked = now;
    if (slept && !document.hidden) this.again();
  }

  _isBack() {
    if (document.hidden) return;
    if (this._wake !== null || Date.now() - this._heard > AWAY) this.again();
  }

  async _run() {
    this._connected?.("connecting", "");
    while (this._open) {
      this._reading = new AbortController();
      let problem = "";
      try {
        const answer = await fetch(this._url, {
          headers: this._last ? { "Last-Event-ID": this._last } : {},
          cache: "no-store",
          signal: this._reading.signal,
        });
        if (answer.ok && answer.body) {
          clearTimeout(this._telling);
          this._telling = undefined;
          this._connected?.("live", "");
          this._heard = Date.now();
          await this._read(answer.body);
        } else {
          const found = await problemOf(answer);
          problem = found.message;
          if ([401, 404, 422].includes(found.status)) {
            this._connected?.("ended", problem);
            this.close();
            return;
          }
        }
      } catch (error) {
        if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
      }
      if (!this._open) return;
      this._telling ??= setTimeout(() => this._connected?.("lost", problem), UNSEEN);
      if (!this._reading.signal.aborted) await this._pause();
    }
  }

  async _pause() {
    const wait = this._wait * (0.75 + Math.random() / 2);
    this._wait = Math.min(LONGEST_WAIT, this._wait * 2);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this._wake = () => {
        clearTimeout(timer);
        resolve(null);
      };
    });
    this._wake = null;
  }

  /** @param {ReadableStream<Uint8Array>} body */
  async _read(body) {
    const decoder = new TextDecoder();
    const reader = body.getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done || !this._open) return;
      this._heard = Date.now();
      this._wait = FIRST_WAIT;
      rest += decoder.decode(value, { stream: true });
      const blocks = rest.split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) this._event(block);
    }
  }

  /** @param {string} block */
  _event(block) {
    let [id, name, data] = ["", "", ""];
    for (const line of block.split("\n")) {
      if (line.startsWith("id: ")) id = line.slice(4);
      else if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (!data || !this._open) return;
    if (id && isOld(id, this._last)) return;
    if (id) this._last = id;
    this._tell(name, JSON.parse(data));
  }
}

/**
 * Return whether an event was told before: numbers of one life of the bot only grow.
 * @param {string} id
 * @param {string} last
 */
function isOld(id, last) {
  const [life, number] = split(id);
  const [lastLife, lastNumber] = split(last);
  return life === lastLife && number <= lastNumber;
}

/**
 * @param {string} id
 * @returns {[string, number]}
 */
function split(id) {
  const at = id.lastIndexOf("-");
  return [id.slice(0, at), Number(id.slice(at + 1))];
}
