// What was said in this tab's conversation, kept over a reload: `{role, text, ...}` each, the oldest first.
//
// An answer also has `id` (the server's name for it), `state` (`streaming`, `done`, `broken`) and `facts` (who answered and how fast).
// `questions` are the tool calls that wait for a yes or no, with the moment (Unix milliseconds) until which they do.

// Entries that are kept. Storage has a few megabytes for the whole site, and an answer some kilobytes.
const MOST = 200;

const KEY = "conversation";

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function stored() {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY));
    if (typeof found?.session === "string" && Array.isArray(found.entries)) return found;
  } catch {
    // Not ours, or cut off.
  }
  return null;
}

// A reload continues the conversation; another tab has its own.
export class Transcript {
  constructor() {
    const { session = newId(), lastId = 0, account = null, entries = [], questions = [] } = stored() ?? {};
    Object.assign(this, { session, lastId, account, entries, questions });
    // A clock of the page before this one.
    for (const entry of entries) delete entry.at;
  }

  // Begins anew, for whoever is signed in.
  clear(account = this.account) {
    Object.assign(this, { session: newId(), lastId: 0, account, entries: [], questions: [] });
    this.save();
  }

  add(entry) {
    this.entries.push(entry);
    this.entries.splice(0, this.entries.length - MOST);
    return entry;
  }

  remove(entry) {
    this.entries = this.entries.filter((each) => each !== entry);
  }

  answer(id) {
    return this.entries.findLast((entry) => entry.id === id);
  }

  settle(callId) {
    this.questions = this.questions.filter((question) => question.call_id !== callId);
  }

  get streaming() {
    return this.entries.findLast((entry) => entry.state === "streaming");
  }

  save() {
    const { session, lastId, account, entries, questions } = this;
    try {
      sessionStorage.setItem(KEY, JSON.stringify({ session, lastId, account, entries, questions }));
    } catch {
      // Full: the conversation goes on, and a reload loses it.
    }
  }
}
