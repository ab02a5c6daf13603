// Who is signed in. The access token lives in this module's memory only; what lasts is a cookie that no script can read.

import { call } from "./api.js";

// Seconds before its end at which a token is no longer used: it must still be good when it arrives.
const MARGIN_S = 30;

// In storage, whether the cookie may be there: asking without it is an error in the browser's console.
const HINT = "signed-in";

let access = null;
let ends = 0;
let account = null;
let watchers = [];

// Calls `watcher(account)` now and at each change; account is null when nobody is signed in.
export function watch(watcher) {
  watchers.push(watcher);
  watcher(account);
}

function become(answer) {
  access = answer?.access_token ?? null;
  ends = performance.now() + ((answer?.expires_in ?? 0) - MARGIN_S) * 1000;
  const next = answer ? (answer.account ?? {}) : null;
  const changed = next?.id !== account?.id || !next !== !account;
  account = next;
  if (answer) localStorage.setItem(HINT, "yes");
  else localStorage.removeItem(HINT);
  if (changed) for (const watcher of watchers) watcher(account);
}

// One at a time over all tabs: a refresh token is good for one use, and a second use looks like theft and ends the session.
const alone = (work) => (navigator.locks ? navigator.locks.request("account", work) : work());

let refreshing = null;

function refresh() {
  refreshing ??= alone(() => call("POST", "/api/auth/refresh", {}))
    .then(become, (error) => {
      if (error.status === 401) become(null);
      throw error;
    })
    .finally(() => {
      refreshing = null;
    });
  return refreshing;
}

// An access token that is good now; `fresh` when the last one was refused.
export async function token(fresh = false) {
  if (!access || fresh || performance.now() > ends) await refresh();
  return access;
}

// Milliseconds for which the token is used from now on.
export const remaining = () => Math.max(0, ends - performance.now());

export const options = () => call("GET", "/api/auth/options");
export const signInAsDemo = async () => become(await alone(() => call("POST", "/api/auth/demo", {})));
export const signIn = async (name, password) => become(await alone(() => call("POST", "/api/auth/login", { name, password })));
export const register = async (name, password) => become(await alone(() => call("POST", "/api/auth/register", { name, password })));

// Whether somebody was signed in here, as far as this page knows.
export const seen = () => localStorage.getItem(HINT) !== null;

// Continues the session of the cookie. False when there is none.
export async function resume() {
  try {
    await refresh();
    return true;
  } catch (error) {
    if (error.status === 401) return false;
    throw error;
  }
}

export async function signOut() {
  await alone(() => call("POST", "/api/auth/logout", {}, access ? { Authorization: `Bearer ${access}` } : {}));
  become(null);
}
