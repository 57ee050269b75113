// A login that ran out: the work stays on the page below, and is sent once the same person is logged in again.
import { call } from "./calls.js";
import { open } from "./dialogs.js";
import { make } from "./dom.js";

// A window that stays until it is closed by `login(dialog)`.
function stay(...content) {
  const dialog = open("You are logged out", ...content);
  dialog.querySelector(".close").remove();
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  return dialog;
}

// Somebody else's page is opened anew: what is kept waits for its author.
function goOn(dialog, same, resolve) {
  if (!same) return location.reload();
  dialog.close();
  resolve();
}

export function askLogin(user) {
  return new Promise((resolve) => {
    const name = make("input", { id: "align-login-name", autocomplete: "username", value: user, required: true });
    const password = make("input", { id: "align-login-password", type: "password", autocomplete: "current-password", required: true });
    const problem = make("p", { class: "problem", role: "alert" });
    const label = (input, words) => make("label", { class: "field-label", for: input.id }, words);
    const form = make("form", {}, label(name, "Name"), name, label(password, "Password"), password, problem, make("button", { type: "submit", class: "primary" }, "Log in"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const answer = await call("POST", "/v1/login", { name: name.value, password: password.value }).catch(() => null);
      if (answer?.ok) return goOn(dialog, name.value === user, resolve);
      problem.textContent = `${answer?.data?.sentence ?? "the server does not answer"}.`;
    });
    const dialog = stay(make("p", {}, "Your work is kept here. Log in and it is saved."), form);
    password.focus();
  });
}

// Where a proxy logs people in, its login is another page: this one waits, and asks again when it is looked at again.
export function awaitLogin(user) {
  return new Promise((resolve) => {
    const problem = make("p", { class: "problem", role: "alert" });
    const link = make("a", { class: "quiet", href: "/", target: "_blank", rel: "noopener" }, "Log in, in a new tab");
    const check = async () => {
      const me = await call("GET", "/v1/me", undefined, "").catch(() => null);
      if (me?.ok) window.removeEventListener("focus", check);
      if (me?.ok) return goOn(dialog, me.data.name === user, resolve);
      problem.textContent = `${me?.data?.sentence ?? (me ? "you are not logged in yet" : "the server does not answer")}.`;
    };
    const go = make("button", { type: "button", class: "primary", on: { click: check } }, "I am logged in");
    const dialog = stay(make("p", {}, "Your work is kept here. Log in and it is saved."), problem, make("p", { class: "row" }, link, go));
    window.addEventListener("focus", check);
  });
}
