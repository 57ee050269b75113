// Around the task: banner, guidelines, history, how texts are shown, the end of the queue, logging out.
import { fromStore } from "./answers.js";
import { call } from "./calls.js";
import { showHistory } from "./dialogs.js";
import { make } from "./dom.js";
import { keep } from "./memory.js";

const AGAIN_MS = 60000;

export function bannerText(task, edits) {
  if (edits) return "You correct an earlier answer. The first one is kept in the log.";
  const { practice, kind } = task;
  if (practice) return `Practice${practice.number ? ` ${practice.number} of ${practice.of}` : ""}: you are told afterwards what the team thinks.`;
  return { write: "Write the response that you would like to get.", edit: "Choose the best response and improve it.", judge: "Say whether this response is good or bad." }[kind] ?? "";
}

export function nothingLeft(page) {
  const place = page.find(".nothing");
  place.hidden = false;
  page.find(".banner").hidden = true;
  place.replaceChildren(make("h2", {}, "Nothing left to label"), make("p", {}, "Thank you. This page looks again every minute."));
  page.voice.tell("Nothing left to label.");
  setTimeout(() => !page.task && !page.busy && page.next(), AGAIN_MS);
}

export function history(page) {
  const edit = (past) => page.open(past.task, fromStore(past.task.answer), past.event);
  showHistory(edit).catch(() => page.voice.show("problem", "The server does not answer."));
}

export function written(page) {
  page.asWritten = !page.asWritten;
  keep("as-written", page.asWritten);
  if (page.task) page.draw();
  showWritten(page);
  page.voice.tell(page.asWritten ? "Text as written" : "Markdown");
}

export function showWritten(page) {
  page.find("[data-do=written]").setAttribute("aria-pressed", String(page.asWritten));
}

// chosen: by the person, who finds it so again next time.
export async function guidelines(page, open, chosen = true) {
  const panel = page.find(".guidelines");
  panel.hidden = !open;
  page.find(".room").classList.toggle("with-guidelines", open);
  page.find(".tools [data-do=guidelines]").setAttribute("aria-expanded", String(open));
  if (chosen) keep("guidelines", open);
  const text = page.find(".guidelines-text");
  if (open && !text.childElementCount) text.innerHTML = (await page.line.ask("GET", "/v1/guidelines")).html;
  if (open && chosen) text.focus();
}

// Where people are logged in by a proxy, it is the proxy that logs them out.
export async function logout(page) {
  page.drafts.now();
  if (page.me.logout === "/login") await call("POST", "/v1/logout", {}).catch(() => null);
  location.assign(page.me.logout);
}
