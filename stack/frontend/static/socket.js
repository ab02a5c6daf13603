// The WebSocket to the assistant: opened, signed in, and opened again after each loss, going on where it was.

import { remaining, token } from "./account.js";
import { RETURNED } from "./services.js";

// Milliseconds. The first retry is nearly at once: most losses are a service that restarts.
const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 10_000;

// A ping after this much silence, and a new connection when nothing comes back for as long again.
const SILENCE_MS = 20_000;

// Milliseconds until the server has to say `connected`.
const PATIENCE_MS = 10_000;

// RFC 6455, section 7.4.2 leaves 4000 to 4999 to applications; ours follow HTTP's numbers.
const UNAUTHORIZED = 4401;
const FOR_GOOD = new Set([4403, 4404]);

export class Socket {
  #session;
  #lastId;
  #listener;
  #socket = null;
  #wait = FIRST_WAIT_MS;
  #timer = 0;
  #deadline = 0;
  #renewal = 0;
  #closed = false;
  #fresh = false;
  #missing = 0;
  #hasten = () => {
    if (this.#timer) this.#again(0);
  };

  // `listener.message(message)` gets what the server says, `listener.state(name, detail)` gets `connecting`, `open`, `waiting`
  // (detail: seconds) and `refused` (detail: the reason). `lastId` is the last message that was seen, 0 for none.
  constructor(session, lastId, listener) {
    this.#session = session;
    this.#lastId = lastId;
    this.#listener = listener;
    // The network is back, or the backend: no reason to sit out the rest of a wait.
    addEventListener("online", this.#hasten);
    addEventListener(RETURNED, this.#hasten);
    this.#open();
  }

  get lastId() {
    return this.#lastId;
  }

  // False when there is no connection now.
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
    clearTimeout(this.#renewal);
    removeEventListener("online", this.#hasten);
    removeEventListener(RETURNED, this.#hasten);
    this.#socket?.close(1000);
  }

  async #open() {
    this.#listener.state("connecting");
    let access;
    try {
      access = await token(this.#fresh);
    } catch (error) {
      // Without an account the page asks for one; there is nothing to open until then.
      if (error.status === 401) this.close();
      else this.#again();
      return;
    }
    if (this.#closed) return;
    this.#fresh = false;
    const url = new URL(`/ws/assistant/${this.#session}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#expect(PATIENCE_MS, () => this.#lost(socket));
    socket.onopen = () => this.send({ type: "auth", token: access });
    socket.onmessage = ({ data }) => this.#receive(socket, data);
    socket.onclose = ({ code, reason }) => this.#lost(socket, code, reason);
  }

  #receive(socket, data) {
    if (socket !== this.#socket || this.#closed) return;
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    this.#expect(SILENCE_MS, () => this.#ping(socket));
    if (message.type === "pong") return;
    if (message.type === "connected") this.#joined(message);
    else if (typeof message.id === "number" && !this.#next(message.id)) return;
    // Some of what was missed is gone for good: what comes next need not follow.
    if (message.type === "system" && message.kind === "gap") this.#missing = 0;
    this.#listener.message(message);
  }

  #joined({ last_id: last }) {
    this.#wait = FIRST_WAIT_MS;
    this.#missing = 0;
    // Less than what was seen: another life of the server, which counts from the beginning.
    if (last < this.#lastId || this.#lastId === 0) {
      this.#lastId = last;
    } else if (last > this.#lastId) {
      this.#missing = last;
      this.send({ type: "resume", after: this.#lastId });
    }
    this.#renew();
    this.#listener.state("open");
  }

  // A new token before the old one ends, so that the connection need not.
  #renew() {
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(async () => {
      try {
        this.send({ type: "auth", token: await token() });
        this.#renew();
      } catch {
        // The server closes the connection when the old one has ended; what comes then also copes with this.
      }
    }, remaining());
  }

  // Whether a message is the next one. What is new can arrive before what was missed, and is then sent once more after it.
  #next(id) {
    if (id <= this.#lastId || (id > this.#lastId + 1 && this.#missing > this.#lastId)) return false;
    this.#lastId = id;
    return true;
  }

  #ping(socket) {
    this.send({ type: "ping" });
    this.#expect(SILENCE_MS, () => this.#lost(socket));
  }

  #expect(within, otherwise) {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(otherwise, within);
  }

  #lost(socket, code = 1006, reason = "") {
    if (socket !== this.#socket || this.#closed) return;
    clearTimeout(this.#deadline);
    clearTimeout(this.#renewal);
    socket.onclose = null;
    socket.close();
    this.#socket = null;
    if (FOR_GOOD.has(code)) {
      this.close();
      this.#listener.state("refused", reason || "The assistant refuses this conversation.");
      return;
    }
    this.#fresh = code === UNAUTHORIZED;
    this.#again();
  }

  #again(wait = this.#wait) {
    if (this.#socket || this.#closed) return;
    clearTimeout(this.#timer);
    this.#listener.state("waiting", wait / 1000);
    // Not all pages at the same moment.
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#open();
    }, wait * (0.75 + Math.random() / 2));
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
  }
}
