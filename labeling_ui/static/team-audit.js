// The audit trail: everything that anybody did, newest first, in plain words. It is append-only, and so is this list.
import { make } from "./dom.js";

const KINDS = ["label", "skip", "undo", "adjudicate", "tasks", "gold", "annotator", "quarantine", "release", "snapshot", "reward_change", "import"];

export async function audit(page, place, { still }) {
  const { people } = await page.ask("GET", "/v1/team/people");
  const names = make("datalist", { id: "team-names" }, ...people.map((one) => make("option", { value: one.name })));
  const by = make("input", { id: "team-by", list: "team-names", autocomplete: "off" });
  const kind = make("select", { id: "team-kind" }, make("option", { value: "" }, "everything"), ...KINDS.map((one) => make("option", { value: one }, one)));
  const form = make("form", { class: "sheet filter" }, make("label", { for: "team-by" }, "Who", by), names, make("label", { for: "team-kind" }, "What", kind), make("button", { type: "submit", class: "primary" }, "Show"));
  const list = make("ol", { class: "trail", "aria-label": "Events, newest first" });
  const older = make("button", { type: "button", class: "primary", hidden: true }, "Older");
  place.append(make("p", { class: "lead" }, "Whatever was done, newest first. Nothing here is ever changed or deleted."), form, list, older);
  const filter = () => Object.entries({ by: by.value.trim(), kind: kind.value }).filter(([, value]) => value);
  const show = async (before) => {
    const asked = new URLSearchParams([...filter(), ...(before ? [["before", before]] : [])]);
    const { events, more } = await page.ask("GET", `/v1/team/audit?${asked}`);
    if (!still()) return;
    if (!before) list.replaceChildren();
    list.append(...events.map(line));
    if (!list.childElementCount) list.append(make("li", { class: "hint" }, "No such event."));
    older.hidden = !more;
    older.onclick = () => show(events[events.length - 1].event).catch((error) => page.tell(error.message));
    if (before) list.children[list.childElementCount - events.length]?.scrollIntoView({ block: "nearest" });
    page.tell(`${list.childElementCount} events are shown.`);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show().catch((error) => page.tell(error.message));
  });
  kind.addEventListener("change", () => form.requestSubmit());
  await show();
}

function line(event) {
  const at = new Date(event.at);
  const time = make("time", { datetime: event.at }, at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
  const said = make("span", { class: "said", dir: "auto" });
  said.textContent = event.said;
  return make("li", { "data-kind": event.kind }, make("span", { class: "number" }, String(event.event)), time, make("b", { dir: "auto" }, event.by || "a program"), said);
}
