// Windows over the page: skip, history, keys, compare. Each is a <dialog>: Escape closes it, the focus goes back.
import { call } from "./calls.js";
import { difference } from "./diff.js";
import { make } from "./dom.js";
import { ACTIONS, defaults, saveKeys } from "./keys.js";

const REASONS = ["I do not know this field or language", "The text is broken or unreadable", "It disturbs me", "Too long for now"];

export function open(title, ...content) {
  const close = make("button", { type: "button", class: "quiet close", on: { click: () => dialog.close() } }, "Close");
  const dialog = make("dialog", { class: "window", "aria-labelledby": "align-window-title" }, make("h2", { id: "align-window-title" }, title), ...content, close);
  dialog.addEventListener("close", () => dialog.remove());
  const said = dialog.querySelector(":scope > p:not([role])");
  if (said) {
    said.id = "align-window-said"; // read out with the title
    dialog.setAttribute("aria-describedby", said.id);
  }
  document.querySelector("#align .dialogs").append(dialog);
  dialog.showModal();
  return dialog;
}

// Answers the reason; null where it was closed.
export function askSkip() {
  return new Promise((resolve) => {
    const choices = REASONS.map((reason, index) => {
      const box = make("input", { type: "radio", name: "align-reason", value: reason, id: `align-reason-${index}` });
      box.checked = index === 0;
      return make("label", { class: "choice line", for: `align-reason-${index}` }, box, reason);
    });
    const other = make("textarea", { id: "align-reason-text", rows: 2, maxlength: 900, dir: "auto" });
    const form = make(
      "form",
      { method: "dialog" },
      make("fieldset", {}, make("legend", {}, "Why?"), ...choices),
      make("label", { class: "field-label", for: "align-reason-text" }, "In your own words"),
      other,
      make("button", { type: "submit", class: "primary" }, "Skip this task"),
    );
    let reason = null;
    form.addEventListener("submit", () => {
      const chosen = form.querySelector("[name=align-reason]:checked")?.value ?? "";
      reason = other.value.trim() || chosen;
    });
    open("Skip this task", make("p", { class: "hint" }, "Somebody else gets it. You do not see it again."), form).addEventListener("close", () => resolve(reason));
  });
}

export async function showHistory(edit) {
  const answer = await call("GET", "/v1/history");
  const list = make("ul", { class: "history" });
  for (const past of answer.data.history) {
    const at = new Date(past.saved).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    const what = past.standing ? past.task.kind : `${past.task.kind}, taken back or replaced`;
    const again = make("button", { type: "button", class: "quiet", on: { click: () => (dialog.close(), edit(past)) } }, "Edit");
    const text = make("div", { dir: "auto", class: "excerpt" });
    text.textContent = past.excerpt;
    list.append(make("li", { class: past.standing ? "" : "gone" }, make("div", {}, make("p", { class: "hint" }, `${at} · ${what}`), text), past.standing ? again : ""));
  }
  const none = make("p", { class: "hint" }, "Nothing is saved yet.");
  const dialog = open("Your answers", list.childElementCount ? list : none);
}

export function showKeys(keys, changed) {
  const problem = make("p", { class: "problem", role: "alert" });
  const inputs = new Map();
  const rows = Object.entries(ACTIONS).map(([action, [, does]]) => {
    const input = make("input", { id: `align-key-${action}`, value: keys[action], maxlength: 20, autocomplete: "off", spellcheck: "false", size: 10 });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Tab" || event.key === "Escape" || event.key === "Shift") return;
      event.preventDefault();
      input.value = event.key;
    });
    inputs.set(action, input);
    return make("tr", {}, make("td", {}, make("label", { for: `align-key-${action}` }, does)), make("td", {}, input));
  });
  const letters = make("tr", {}, make("td", {}, "rank that response next; with Shift: flag it"), make("td", {}, "A to I"));
  const table = make("table", { class: "keys" }, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "does"), make("th", { scope: "col" }, "key"))), make("tbody", {}, letters, ...rows));
  const save = make("button", { type: "button", class: "primary", on: { click: () => store(Object.fromEntries([...inputs].map(([action, input]) => [action, input.value]))) } }, "Use these keys");
  const reset = make("button", { type: "button", class: "quiet", on: { click: () => store(defaults()) } }, "As at first");
  const store = (chosen) => {
    problem.textContent = saveKeys(chosen);
    if (problem.textContent) return;
    changed(chosen);
    dialog.close();
  };
  const dialog = open("Keys", make("p", { class: "hint" }, "Type the letters of the responses, best first, then Enter. Press a key in a field to change it."), table, problem, make("p", { class: "row" }, save, reset));
}

export function showCompare(cards, tiers) {
  const first = tiers.flat()[0] ?? cards[0].slot;
  const second = tiers.flat()[1] ?? cards.find((card) => card.slot !== first).slot;
  const pick = (id, value) => make("select", { id, on: { change: () => draw() } }, ...cards.map(({ slot }) => make("option", { value: slot, selected: slot === value }, slot)));
  const [left, right] = [pick("align-left", first), pick("align-right", second)];
  const shown = make("div", { class: "text plain compared", dir: "auto", tabindex: "0", role: "region", "aria-label": "Differences" });
  const text = (slot) => cards.find((card) => card.slot === slot).text;
  const draw = () => {
    const parts = difference(text(left.value), text(right.value));
    shown.replaceChildren(...(parts ?? [["same", "These texts are too long to compare word by word."]]).map(marked));
  };
  draw();
  const label = (id, words) => make("label", { for: id }, words);
  const legend = make("p", { class: "hint" }, make("del", {}, "only in the first"), "  ", make("ins", {}, "only in the second"));
  open("Compare two", make("p", { class: "row" }, label("align-left", "First"), left, label("align-right", "Second"), right), legend, shown);
}

function marked([kind, text]) {
  const element = make({ same: "span", out: "del", in: "ins" }[kind]);
  element.textContent = text;
  return element;
}
