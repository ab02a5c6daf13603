// The conversation: what was said, the form to say more, and beginning anew.

import { ask, forget } from "./api.js";

const messages = document.querySelector("#messages");
const composer = document.querySelector("#composer");
const field = document.querySelector("#message");
const send = composer.querySelector("button");
const problem = document.querySelector("#problem");

// Counted up by a new conversation, so that an answer to the old one is not shown in it.
let conversation = 0;

// A reload continues the conversation; another tab has its own.
function sessionId() {
  let id = sessionStorage.getItem("session");
  if (!id) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    id = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem("session", id);
  }
  return id;
}

function add(role, text, facts) {
  const entry = document.createElement("li");
  entry.className = role;
  const speaker = document.createElement("span");
  speaker.className = "unseen";
  speaker.textContent = role === "user" ? "You: " : "Assistant: ";
  const body = document.createElement("p");
  body.className = "text";
  body.textContent = text;
  entry.append(speaker, body);
  if (facts) {
    const line = document.createElement("p");
    line.className = "facts";
    line.textContent = facts;
    entry.append(line);
  }
  messages.append(entry);
  messages.scrollTop = messages.scrollHeight;
}

function facts(answer) {
  const { classify_ms, agent_ms, total_ms } = answer.timings;
  const certainty = Math.round(answer.confidence * 100);
  return (
    `intent ${answer.intent} (${certainty} %) · agent ${answer.agent} · ` +
    `classified in ${classify_ms.toFixed(1)} ms, answered in ${agent_ms.toFixed(1)} ms, ${total_ms.toFixed(1)} ms in all`
  );
}

function complain(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

async function submit() {
  const text = field.value.trim();
  if (!text || send.disabled) return;
  const mine = conversation;
  complain("");
  add("user", text);
  field.value = "";
  send.disabled = true;
  messages.setAttribute("aria-busy", "true");
  try {
    const answer = await ask(sessionId(), text);
    if (mine === conversation) add("assistant", answer.reply, facts(answer));
  } catch (error) {
    if (mine !== conversation) return;
    complain(error.message);
    // Given back, to be sent again without typing it again.
    field.value ||= text;
  } finally {
    if (mine === conversation) release();
  }
}

function release() {
  send.disabled = false;
  messages.removeAttribute("aria-busy");
  field.focus();
}

async function begin() {
  const old = sessionStorage.getItem("session");
  conversation += 1;
  sessionStorage.removeItem("session");
  messages.replaceChildren();
  complain("");
  release();
  // It runs out by itself in half an hour if this fails.
  if (old) await forget(old).catch(() => {});
}

export function start() {
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
  document.querySelector("#new").addEventListener("click", begin);
}
