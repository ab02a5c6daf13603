// The live state of the services.

import { services } from "./api.js";

const INTERVAL_MS = 2000;

const list = document.querySelector("#services");
const summary = document.querySelector("#services-summary");

// A glyph and a word beside the colour, for those who do not see it.
const MOODS = {
  ok: ["good", "●"],
  starting: ["fair", "◐"],
  degraded: ["fair", "◐"],
  unknown: ["fair", "○"],
};

let shown = "";

function row({ name, status, detail }) {
  const [mood, glyph] = MOODS[status] ?? ["bad", "✕"];
  const entry = document.createElement("li");
  entry.dataset.service = name;
  entry.dataset.status = status;
  entry.dataset.mood = mood;
  const cell = (className, text, hidden = false) => {
    const part = document.createElement("span");
    part.className = className;
    part.textContent = text ?? "";
    if (hidden) part.setAttribute("aria-hidden", "true");
    return part;
  };
  entry.append(cell("state", glyph, true), cell("name", name), cell("state", status), cell("detail quiet", detail));
  return entry;
}

function show(rows) {
  list.replaceChildren(...rows.map(row));
  const troubled = rows.filter(({ status }) => status !== "ok").map(({ name, status }) => `${name} is ${status}`);
  const text = troubled.length ? `${troubled.join(", ")}.` : "All services are well.";
  // Written only when it changes: it is read aloud each time.
  if (text !== shown) summary.textContent = shown = text;
}

async function look() {
  try {
    show((await services(INTERVAL_MS)).services);
  } catch (error) {
    show(["frontend", "backend", "router"].map((name, place) => (
      place ? { name, status: "unknown", detail: "" } : { name, status: "unreachable", detail: error.message }
    )));
  }
}

export async function start() {
  for (;;) {
    // A page in the background asks nothing until it is looked at again.
    if (document.hidden) {
      await new Promise((resume) => document.addEventListener("visibilitychange", resume, { once: true }));
      continue;
    }
    await look();
    await new Promise((resume) => setTimeout(resume, INTERVAL_MS));
  }
}
