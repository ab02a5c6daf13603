// The live state of the services, from a stream that the page's own server sends.

const panel = document.querySelector("#services-panel");
const list = document.querySelector("#services");
const parts = document.querySelector("#components");
const summary = document.querySelector("#services-summary");
const short = document.querySelector("#services-short");

// Milliseconds of silence after which the stream counts as dead. The server sends every five seconds.
const SILENCE_MS = 12_000;

// A glyph and a word beside the colour, for those who do not see it.
const MOODS = {
  ok: ["good", "●"],
  starting: ["fair", "◐"],
  degraded: ["fair", "◐"],
  unknown: ["fair", "○"],
};

// An event of the window: the backend can be reached again.
export const RETURNED = "backend-returned";

let latest = [];
let reachable = true;
let source = null;
let silence = 0;

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

// Written only when it changes: it is read aloud each time.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show(rows) {
  latest = rows;
  list.replaceChildren(...rows.filter(({ kind }) => kind !== "component").map(row));
  parts.replaceChildren(...rows.filter(({ kind }) => kind === "component").map(row));
  parts.parentElement.hidden = !parts.childElementCount;
  const troubled = rows.filter(({ status }) => status !== "ok").map(({ name, status }) => `${name} is ${status}`);
  write(summary, troubled.length ? `${troubled.join(", ")}.` : "All services are well.");
  write(short, troubled.length ? `${troubled.length} not well` : "all well");
  short.dataset.mood = troubled.length ? "bad" : "good";
  const before = reachable;
  reachable = rows.some(({ name, status }) => name === "backend" && (status === "ok" || status === "degraded"));
  if (reachable && !before) dispatchEvent(new Event(RETURNED));
}

// What was last seen, of which nothing is known now.
function lost() {
  const known = latest.length ? latest : ["frontend", "backend", "router"].map((name) => ({ name, kind: "service" }));
  show(known.map(({ name, kind }) => (
    name === "frontend"
      ? { name, kind, status: "unreachable", detail: "The page's server does not answer." }
      : { name, kind, status: "unknown", detail: "" }
  )));
}

function open() {
  close();
  source = new EventSource("/services/events");
  source.addEventListener("services", ({ data }) => {
    show(JSON.parse(data).services);
    listen();
  });
  source.addEventListener("error", () => {
    lost();
    // A browser gives up for good when the answer is no stream, as from a server that is only half there.
    if (source?.readyState === EventSource.CLOSED) setTimeout(() => source && open(), 1000);
  });
  listen();
}

function listen() {
  clearTimeout(silence);
  silence = setTimeout(() => {
    lost();
    open();
  }, SILENCE_MS);
}

function close() {
  clearTimeout(silence);
  source?.close();
  source = null;
}

export function start() {
  // On a narrow screen the conversation comes first; the summary in the panel's title says enough.
  const narrow = matchMedia("(max-width: 48rem)");
  const fit = () => {
    panel.open = !narrow.matches;
  };
  narrow.addEventListener("change", fit);
  fit();
  // A page in the background asks nothing until it is looked at again.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", ({ persisted }) => persisted && open());
  if (!document.hidden) open();
}
