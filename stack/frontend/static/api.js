// Talking to the server. Every failure becomes a Problem with a sentence for people.

import { token } from "./account.js";

// Longer than the server's own patience with the backend, so that its explanation arrives first.
const PATIENCE_MS = 20_000;

export class Problem extends Error {
  constructor(code, message, status = 0) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

// Calls without an account: how to get one.
export async function call(method, path, body, headers = {}) {
  // A header of its own: another site's page cannot send it without being asked for by the server first.
  const all = { "X-Requested-With": "page", ...headers };
  if (body !== undefined) all["Content-Type"] = "application/json";
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      headers: all,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    text = await response.text();
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Problem(late ? "timeout" : "unreachable", late ? "The server takes too long to answer." : "The server cannot be reached.");
  }
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    throw new Problem("nonsense", `The server's answer (${response.status}) makes no sense.`, response.status);
  }
  if (!response.ok) {
    const said = value?.error;
    throw new Problem(said?.code ?? "failed", said?.message ?? `The server answered ${response.status}.`, response.status);
  }
  return value;
}

// Calls as the account that is signed in. A token that ran out on the way is replaced once.
async function asAccount(method, path, body) {
  const attempt = async (fresh) => call(method, path, body, { Authorization: `Bearer ${await token(fresh)}` });
  try {
    return await attempt(false);
  } catch (error) {
    if (error.status !== 401) throw error;
    return attempt(true);
  }
}

export const history = (sessionId) => asAccount("GET", `/api/assistant/sessions/${sessionId}/history`);
export const forget = (sessionId) => asAccount("DELETE", `/api/assistant/sessions/${sessionId}`);
