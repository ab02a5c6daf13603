// Getting in: continued, as the demo account, by name and password, or by OpenID Connect.

import * as account from "./account.js";

const section = document.querySelector("#sign-in");
const form = document.querySelector("#sign-in-form");
const name = document.querySelector("#account-name");
const password = document.querySelector("#password");
const create = document.querySelector("#register");
const openid = document.querySelector("#openid");
const problem = document.querySelector("#sign-in-problem");
const chat = document.querySelector("#chat");
const who = document.querySelector("#who");
const leave = document.querySelector("#sign-out");
const waiting = document.querySelector("#waiting");

// Milliseconds between two attempts while the backend is not there yet.
const RETRY_MS = 1500;

// By the code in the address with which the backend sends a failed sign-in back.
const FAILURES = {
  denied: "The provider did not sign you in.",
  expired: "The sign-in took too long; try again.",
  unavailable: "The provider cannot be reached; try again later.",
};

// Somebody signed out here, or came back from a provider without success: then the form is shown, also where there is a demo account.
let left = false;

function complain(text, culprit = null) {
  problem.textContent = text;
  problem.hidden = !text;
  for (const field of [name, password]) field.toggleAttribute("aria-invalid", field === culprit);
}

function view(which) {
  waiting.hidden = which !== waiting;
  section.hidden = which !== section;
  chat.hidden = which !== chat;
}

function ask(options) {
  create.hidden = !options.registration;
  openid.hidden = !options.oidc;
  openid.textContent = `Sign in with ${options.oidc}`;
  view(section);
  name.focus();
}

async function attempt(work) {
  complain("");
  const empty = [name, password].find((field) => !field.value);
  if (empty) {
    complain("Give a name and a password.", empty);
    empty.focus();
    return;
  }
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  try {
    await work(name.value.trim(), password.value);
    password.value = "";
  } catch (error) {
    complain(error.message);
    password.focus();
    password.select();
  } finally {
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
}

// Who was signed in, or else the demo account where there is one, or else the form. Tries on while the backend is away.
async function arrive() {
  view(waiting);
  for (;;) {
    try {
      const options = await account.options();
      // A provider's way back leaves a cookie that this page has not seen.
      const worth = account.seen() || !options.demo || options.oidc;
      if (worth && (await account.resume())) return;
      if (options.demo && !left) await account.signInAsDemo();
      else ask(options);
      return;
    } catch (error) {
      waiting.textContent = `${error.message} The page tries again by itself.`;
      await new Promise((resume) => setTimeout(resume, RETRY_MS));
    }
  }
}

function failedElsewhere() {
  const address = new URL(location.href);
  const code = address.searchParams.get("sign_in");
  if (!code) return;
  complain(FAILURES[code] ?? "The sign-in at the provider failed; try again.");
  left = true;
  address.searchParams.delete("sign_in");
  window.history.replaceState(null, "", address);
}

export function start() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(account.signIn);
  });
  create.addEventListener("click", () => attempt(account.register));
  leave.addEventListener("click", async () => {
    left = true;
    try {
      await account.signOut();
    } catch (error) {
      left = false;
      who.textContent = error.message;
    }
  });
  failedElsewhere();
  let signedIn = false;
  account.watch((someone) => {
    leave.hidden = !someone;
    who.textContent = someone?.name ?? "";
    if (someone) {
      view(chat);
      document.querySelector("#message").focus();
    } else if (signedIn) {
      arrive();
    }
    signedIn = Boolean(someone);
  });
  arrive();
}
