// The conversation: what the server says becomes messages, what is typed goes to the server.

import * as account from "./account.js";
import { forget, history } from "./api.js";
import * as confirm from "./confirm.js";
import * as messages from "./messages.js";
import { Socket } from "./socket.js";
import { Transcript } from "./transcript.js";

const composer = document.querySelector("#composer");
const field = document.querySelector("#message");
const send = document.querySelector("#send");
const stop = document.querySelector("#stop");
const problem = document.querySelector("#problem");
const line = document.querySelector("#connection");
const typing = document.querySelector("#typing");

// Milliseconds after a reconnection until a message that nobody began to answer is given back.
const UNANSWERED_MS = 4000;

// Seconds in which a question about a tool is answered, when the server does not say.
const PATIENCE_S = 60;

const FORGOTTEN = "forgotten";

const transcript = new Transcript();
let socket = null;

// What was sent and is not answered yet: `{entry, at, first, timer}`, times by performance.now().
let pending = null;

function facts({ intent, confidence, agent, timings = {} }, first) {
  const certainty = typeof confidence === "number" ? ` (${Math.round(confidence * 100)} %)` : "";
  const speed = [
    ["classified in", timings.classify_ms, ""],
    ["answered in", timings.agent_ms, ""],
    ["first words after", first, ""],
    ["", timings.total_ms, "in all"],
  ]
    .filter(([, value]) => typeof value === "number")
    .map(([before, value, after]) => `${before} ${value.toFixed(value < 10 ? 1 : 0)} ms ${after}`.trim());
  return [intent && `intent ${intent}${certainty}`, agent && `agent ${agent}`, speed.join(", ")].filter(Boolean).join(" · ");
}

function complain(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

function settle() {
  const busy = Boolean(pending || transcript.streaming);
  send.disabled = busy;
  stop.hidden = !busy;
  messages.busy(busy);
  if (!busy) typing.textContent = "";
}

function keep() {
  transcript.lastId = socket?.lastId ?? transcript.lastId;
  transcript.save();
}

function show(entry) {
  transcript.add(entry);
  messages.add(entry);
  return entry;
}

// The message that nobody answers returns to the field, to be sent again without typing it again.
function giveBack(reason) {
  if (!pending) return;
  const { entry, timer } = pending;
  clearTimeout(timer);
  pending = null;
  transcript.remove(entry);
  messages.remove(entry);
  field.value ||= entry.text;
  complain(reason);
}

function breakOff(entry, reason) {
  entry.state = "broken";
  entry.fault = reason;
  messages.finish(entry);
  messages.say(`The answer broke off. ${reason}`);
}

function ask(question) {
  confirm.ask(question, (allow) => {
    if (socket?.send({ type: "confirm", call_id: question.call_id, allow })) transcript.settle(question.call_id);
    else complain("There is no connection to the assistant now, so nothing was changed. Ask again when it is back.");
    keep();
  });
}

const handlers = {
  connected({ resumed, last_id: last }) {
    const entry = transcript.streaming;
    // Another life of the server knows nothing of the answer that was under way.
    if (entry && (!resumed || last < transcript.lastId)) breakOff(entry, "The server was restarted; ask again.");
    if (pending) {
      clearTimeout(pending.timer);
      pending.timer = setTimeout(() => {
        giveBack("The connection was lost before your message was answered; send it again.");
        settle();
      }, UNANSWERED_MS);
    }
    // Those from before a reload.
    for (const question of transcript.questions) ask(question);
    remember();
  },

  // The server has the message.
  typing() {
    clearTimeout(pending?.timer);
    typing.textContent = "The assistant is answering …";
  },

  stream_start({ message_id: id, intent, confidence, agent }) {
    clearTimeout(pending?.timer);
    typing.textContent = `The agent ${agent} is answering …`;
    show({ role: "assistant", id, text: "", state: "streaming", facts: facts({ intent, confidence, agent }), at: pending?.at });
    pending = null;
  },

  stream_chunk({ message_id: id, text }) {
    const entry = transcript.answer(id);
    if (entry?.state !== "streaming") return;
    if (entry.text === "" && entry.at) entry.first = performance.now() - entry.at;
    entry.text += text;
    messages.update(entry);
  },

  stream_end(message) {
    const entry = transcript.answer(message.message_id);
    if (!entry) return;
    if (typeof message.reply === "string") entry.text = message.reply;
    entry.state = "done";
    entry.facts = facts(message, entry.first);
    delete entry.at;
    messages.finish(entry);
    messages.say(`Assistant: ${entry.text}`);
  },

  error({ message_id: id, error }) {
    const reason = error?.message ?? "The assistant failed to answer.";
    const entry = id === undefined ? undefined : transcript.answer(id);
    if (entry?.state === "streaming" && entry.text) breakOff(entry, reason);
    else if (entry?.state === "streaming") {
      transcript.remove(entry);
      messages.remove(entry);
      complain(reason);
    } else if (pending) giveBack(reason);
    else complain(reason);
  },

  system(message) {
    if (message.kind === "confirmation") {
      const until = Date.now() + (message.expires_in ?? PATIENCE_S) * 1000;
      const { call_id, tool, text, arguments: given } = message;
      transcript.questions.push({ call_id, tool, text, arguments: given, until });
      ask(transcript.questions.at(-1));
    } else if (message.kind === "confirmed") {
      transcript.settle(message.call_id);
      confirm.decided(message.call_id);
      show({ role: "note", text: message.text || (message.allowed ? "It was allowed." : "It was not allowed.") });
      messages.say(message.text ?? "");
    } else if (message.kind === "stopping") {
      line.textContent = message.text;
    } else if (message.text) {
      show({ role: "note", text: message.text });
    }
  },
};

function receive(message) {
  handlers[message.type]?.(message);
  settle();
  // Pieces are many; what they make is kept at their end, and when the page is left.
  if (message.type !== "stream_chunk") keep();
}

function connection(state, detail) {
  line.dataset.state = state;
  const slow = state === "waiting" && detail >= 1;
  line.textContent = {
    open: "",
    connecting: line.textContent,
    waiting: slow ? "The connection is lost; the page keeps trying to reach the assistant." : "",
    refused: detail,
  }[state];
}

function connect() {
  socket?.close();
  socket = new Socket(transcript.session, transcript.lastId, { message: receive, state: connection });
}

// What the assistant remembers may be more than this page knows, or less: then it says so.
async function remember() {
  const { session } = transcript;
  let turns;
  try {
    ({ turns } = await history(session));
  } catch {
    return;
  }
  if (session !== transcript.session) return;
  if (!transcript.entries.length) {
    for (const { role, text } of turns) show({ role, text });
    keep();
    return;
  }
  const answered = transcript.entries.some(({ role, state }) => role === "assistant" && state === "done");
  const last = transcript.entries.at(-1);
  if (!turns.length && answered && last.kind !== FORGOTTEN && !pending && !transcript.streaming) {
    show({ role: "note", kind: FORGOTTEN, text: "The assistant no longer remembers what was said above." });
    keep();
  }
}

function submit() {
  const text = field.value.trim();
  if (!text || send.disabled) return;
  complain("");
  if (!socket?.send({ type: "message", text })) {
    complain("There is no connection to the assistant now. Your message stays here; send it when the connection is back.");
    return;
  }
  pending = { entry: show({ role: "user", text }), at: performance.now(), timer: 0 };
  field.value = "";
  settle();
  keep();
}

async function begin() {
  const old = transcript.session;
  const had = transcript.entries.length > 0;
  reset(transcript.account);
  connect();
  field.focus();
  // It runs out by itself in half an hour if this fails.
  if (had) await forget(old).catch(() => {});
}

function reset(owner) {
  clearTimeout(pending?.timer);
  pending = null;
  socket?.close();
  socket = null;
  confirm.clear();
  messages.clear();
  messages.say("");
  complain("");
  line.textContent = "";
  transcript.clear(owner);
  settle();
}

function enter(who) {
  if (!who) {
    // The next one to sign in here must not read it.
    reset(null);
    return;
  }
  if (transcript.account && transcript.account !== who.id) reset(who.id);
  transcript.account = who.id ?? null;
  connect();
}

export function start() {
  for (const entry of transcript.entries) messages.add(entry);
  settle();
  composer.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  field.addEventListener("keydown", (event) => {
    // Enter also ends the composition of a character in some scripts; that one must not send.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  stop.addEventListener("click", () => {
    socket?.send({ type: "cancel" });
    field.focus();
  });
  document.querySelector("#new").addEventListener("click", begin);
  addEventListener("pagehide", keep);
  let known = false;
  account.watch((who) => {
    // Nobody yet is not nobody any more: a reload first finds out who it is.
    if (who || known) enter(who);
    known ||= Boolean(who);
  });
}
