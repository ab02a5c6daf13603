// The list of messages: each entry of the transcript as an element, kept up to date while it streams.

import { render } from "./markdown.js";

const list = document.querySelector("#messages");
const spoken = document.querySelector("#spoken");

// Pixels from the end within which the list follows what comes.
const NEAR_END = 60;

const shown = new WeakMap();
const waiting = new Set();

const followed = () => list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END;

function paint(entry) {
  const item = shown.get(entry);
  if (!item?.isConnected) return;
  const follow = followed();
  item.dataset.state = entry.state ?? "done";
  const body = item.querySelector(".text");
  // What people wrote stays as they wrote it.
  body.replaceChildren(entry.role === "user" ? entry.text : render(entry.text));
  const facts = item.querySelector(".facts");
  facts.textContent = entry.facts ?? "";
  facts.hidden = !entry.facts;
  const fault = item.querySelector(".fault");
  fault.textContent = entry.fault ?? "";
  fault.hidden = !entry.fault;
  if (follow) list.scrollTop = list.scrollHeight;
}

function part(name, className, hidden = false) {
  const made = document.createElement(name);
  made.className = className;
  made.hidden = hidden;
  return made;
}

export function add(entry) {
  const item = part("li", entry.role);
  const speaker = part("span", "unseen");
  speaker.textContent = { user: "You: ", assistant: "Assistant: ", summary: "Summary of what was said before: " }[entry.role] ?? "Note: ";
  item.append(speaker, part("div", "text"), part("p", "fault", true), part("p", "facts", true));
  shown.set(entry, item);
  list.append(item);
  paint(entry);
  list.scrollTop = list.scrollHeight;
}

// Soon, and once for all that changed until then: pieces can come faster than a screen shows.
export function update(entry) {
  if (waiting.has(entry)) return;
  waiting.add(entry);
  requestAnimationFrame(() => {
    if (waiting.delete(entry)) paint(entry);
  });
}

// Now, and for the last time: also in a tab that is not looked at, where no frame is drawn.
export function finish(entry) {
  waiting.delete(entry);
  paint(entry);
}

export function remove(entry) {
  shown.get(entry)?.remove();
}

export const clear = () => list.replaceChildren();

export function busy(is) {
  if (is) list.setAttribute("aria-busy", "true");
  else list.removeAttribute("aria-busy");
}

// For screen readers: an answer is read when it is whole. Read piece by piece it would begin again with each.
export function say(text) {
  spoken.textContent = text;
}
