// Talking to the server. Every failure becomes a Problem with a sentence for people.

// Longer than the server's own patience with the backend, so that its explanation arrives first.
const PATIENCE_MS = 20_000;

export class Problem extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

async function call(path, { patience = PATIENCE_MS, ...options } = {}) {
  let response;
  let body;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(patience) });
    body = await response.text();
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Problem(late ? "timeout" : "unreachable", late ? "The server takes too long to answer." : "The server cannot be reached.");
  }
  let value = null;
  try {
    value = body ? JSON.parse(body) : null;
  } catch {
    throw new Problem("nonsense", `The server's answer (${response.status}) makes no sense.`);
  }
  if (!response.ok) {
    throw new Problem(value?.error?.code ?? "failed", value?.error?.message ?? `The server answered ${response.status}.`);
  }
  return value;
}

export const ask = (sessionId, message) =>
  call("/api/assistant/chat", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ session_id: sessionId, message }),
  });

export const forget = (sessionId) => call(`/api/assistant/sessions/${sessionId}`, { method: "DELETE" });

export const services = (patience) => call("/services", { patience });
