// A section as the server computes it: sentences, plots, tables. A plot is an <img>, in which nothing can run or load.
import { make } from "./dom.js";

const AGAIN_MS = 1000;
const LONG = 40; // letters; a longer cell is a text, and wraps

// Waits until it is computed, and draws it; again when it is asked for. more(section, body): what else is put into it.
export async function drawn(page, place, entry, more = async () => {}) {
  const body = make("div", { class: "team-body" }, make("p", { class: "hint waiting" }, "Computing …"));
  place.append(body);
  await show(page, body, entry, more, false);
}

async function show(page, body, entry, more, fresh) {
  const section = await wanted(page, entry, fresh);
  if (!entry.still()) return;
  const again = make("button", { type: "button", class: "quiet small" }, "Compute again");
  again.addEventListener("click", async () => {
    if (again.hasAttribute("aria-disabled")) return;
    again.setAttribute("aria-disabled", "true");
    again.textContent = "Computing …";
    await show(page, body, entry, more, true);
    if (!entry.still()) return;
    page.tell("The figures are new.");
    body.querySelector(".made button").focus();
  });
  const made = make("p", { class: "hint made" }, `${asOf(section)} `, again);
  if (section.problem) return body.replaceChildren(make("p", { class: "problem", role: "alert" }, `${section.problem}.`), made);
  body.replaceChildren(...pieces(section), made);
  await more(section, body);
}

// fresh: one that is newer than what is there.
async function wanted(page, { name, still }, fresh) {
  for (let first = true; still(); first = false) {
    const { section } = await page.ask("GET", `/v1/team/section/${name}${fresh && first ? "?fresh=true" : ""}`);
    if (section && !(fresh && section.computing)) return section;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
  return null;
}

// What a section consists of, without when it was made.
export function pieces(section) {
  const parts = [];
  if (section.verdict?.length) parts.push(lead(section.verdict));
  if (section.figures?.length) parts.push(make("div", { class: "figures" }, ...section.figures.map(figure)));
  for (const one of section.tables ?? []) parts.push(table(one));
  for (const one of section.answers ?? []) if (one.exchanges.length) parts.push(answers(one));
  return parts;
}

// verdict: made by the server (alignment/report/document.py), which escapes every value in it.
function lead(verdict) {
  const element = make("p", { class: "lead" });
  element.innerHTML = verdict.join(" ");
  return element;
}

function asOf(section) {
  const at = new Date(Date.now() - 1000 * section.age).toLocaleTimeString([], { timeStyle: "medium" });
  return `${section.basis ? `${section.basis} ` : ""}As of ${at}.`;
}

export function figure({ title, svg, alt, caption }) {
  const image = make("img", { src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`, alt });
  return make("figure", { class: "sheet" }, make("h2", {}, title), image, caption ? make("figcaption", {}, caption) : "");
}

// cells: (row, place) → elements to put into the last cell of a row, for sections that do something with it.
export function table({ caption, head, rows, note }, cells = null) {
  const id = `team-${caption.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  const top = make("tr", {}, ...head.map((one) => make("th", { scope: "col" }, one)), cells ? make("th", { scope: "col" }, make("span", { class: "hidden-text" }, "action")) : "");
  const body = rows.map((row) => make("tr", {}, make("th", { scope: "row", dir: "auto" }, row[0]), ...row.slice(1).map((cell) => make("td", { class: cell.length > LONG && "long" }, cell)), cells ? make("td", { class: "do" }, ...cells(row)) : ""));
  const scroll = make("div", { class: "scroll", role: "region", tabindex: "0", "aria-labelledby": id }, make("table", {}, make("thead", {}, top), make("tbody", {}, ...body)));
  return make("div", { class: "sheet table" }, make("h2", { id }, caption), scroll, note ? make("p", { class: "hint" }, note) : "");
}

// Prompts with the responses to each, side by side; what only one side says is marked.
function answers({ title, rule, exchanges }) {
  const rows = exchanges.map((one) => make("div", { class: "exchange" }, make("p", { class: "prompt", dir: "auto" }, one.prompt), make("div", { class: "sides" }, ...one.answers.map(side))));
  return make("div", { class: "sheet answers" }, make("h2", {}, title), make("p", { class: "hint" }, rule), ...rows);
}

const MARKED = { gone: "del", new: "ins", same: "span" };

function side({ who, note, pieces: said }) {
  const text = said.map(([kind, words]) => make(MARKED[kind], {}, words));
  return make("div", {}, make("p", { class: "hint" }, make("b", {}, who), note ? ` · ${note}` : ""), make("p", { class: "said", dir: "auto" }, ...text));
}
