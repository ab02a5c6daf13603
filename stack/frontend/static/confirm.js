// Asking before a tool changes something: one question after the other, each with an end.

const dialog = document.querySelector("#confirm");
const title = document.querySelector("#confirm-title");
const text = document.querySelector("#confirm-text");
const details = document.querySelector("#confirm-arguments");
const clock = document.querySelector("#confirm-clock");
const allow = document.querySelector("#allow");
const deny = document.querySelector("#deny");

// `{call_id, tool, text, arguments, until, decide}` each; the first is the one that is shown.
let questions = [];
let ticking = 0;

function lines(values) {
  return Object.entries(values ?? {}).flatMap(([name, value]) => {
    const term = document.createElement("dt");
    term.textContent = name;
    const said = document.createElement("dd");
    said.textContent = typeof value === "string" ? value : JSON.stringify(value);
    return [term, said];
  });
}

function show() {
  const question = questions[0];
  clearInterval(ticking);
  if (!question) {
    if (dialog.open) dialog.close();
    return;
  }
  title.textContent = `Allow “${question.tool}”?`;
  text.textContent = question.text ?? "";
  details.replaceChildren(...lines(question.arguments));
  // The one that changes nothing has the focus: a key pressed in haste must not restart a service.
  if (!dialog.open) dialog.showModal();
  deny.focus();
  tick();
  ticking = setInterval(tick, 1000);
}

function tick() {
  const question = questions[0];
  const left = Math.ceil((question.until - Date.now()) / 1000);
  if (left <= 0) decided(question.call_id);
  else clock.textContent = `Without an answer it is not done, in ${left} s.`;
}

function decide(allowed) {
  const question = questions.shift();
  question?.decide(allowed);
  show();
}

// Asks about a call until a moment (Unix milliseconds); `decide(allow)` is called at most once.
export function ask({ call_id, tool, text: about, arguments: given, until }, decide) {
  if (until <= Date.now() || questions.some((question) => question.call_id === call_id)) return;
  questions.push({ call_id, tool, text: about, arguments: given, until, decide });
  if (questions.length === 1) show();
}

// Decided elsewhere, or too late.
export function decided(callId) {
  const first = questions[0]?.call_id === callId;
  questions = questions.filter((question) => question.call_id !== callId);
  if (first) show();
}

export function clear() {
  questions = [];
  show();
}

export function start() {
  allow.addEventListener("click", () => decide(true));
  deny.addEventListener("click", () => decide(false));
  // Escape.
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    decide(false);
  });
}
