// Annotators: their figures, and who is set aside. Admins set aside and release, with a reason that the log keeps.
import { open } from "./dialogs.js";
import { make } from "./dom.js";
import { drawn, table } from "./team-section.js";

export function annotators(page, place, entry) {
  return drawn(page, place, entry, async (_, body) => {
    const list = make("div", { class: "people" });
    body.querySelector(".lead").after(list);
    const { people } = await page.ask("GET", "/v1/team/people");
    if (entry.still()) draw(page, list, people);
  });
}

function draw(page, list, people) {
  const rows = people.map((one) => [one.name, one.role, one.quarantined ? "set aside" : "counts", told(one)]);
  const byName = new Map(people.map((one) => [one.name, one]));
  const admin = page.me.role === "admin";
  const note = admin ? "Set aside: labels stay, later snapshots leave them out, and no more tasks are given." : "An admin can set somebody aside, or release them.";
  const shown = { caption: "People", head: ["name", "role", "state", "why"], rows, note };
  list.replaceChildren(table(shown, admin ? (row) => [button(page, list, byName.get(row[0]))] : null));
}

function told(one) {
  if (!one.reason) return "";
  const day = new Date(one.at).toLocaleDateString([], { dateStyle: "medium" });
  return `${one.quarantined ? "" : "released: "}${one.reason} (${one.by || "a program"}, ${day})`;
}

function button(page, list, one) {
  const word = one.quarantined ? "Release …" : "Set aside …";
  const made = make("button", { type: "button", class: "quiet small", "aria-label": `${word.slice(0, -2)} ${one.name}` }, word);
  made.addEventListener("click", () => ask(page, list, one));
  return made;
}

function ask(page, list, one) {
  const [title, path, why] = one.quarantined ? [`Release ${one.name}`, "release", "Their labels count again, in snapshots from now on."] : [`Set ${one.name} aside`, "quarantine", "Their labels stay, and snapshots from now on leave them out. They get no more tasks. You can release them again."];
  const reason = make("textarea", { id: "team-reason", rows: 3, required: true, minlength: 3, maxlength: 1000, dir: "auto" });
  const problem = make("p", { class: "problem", role: "alert" });
  const form = make("form", {}, make("p", {}, why), make("label", { class: "field-label", for: "team-reason" }, "Reason, for the audit trail"), reason, problem, make("button", { type: "submit", class: "primary" }, title));
  const dialog = open(title, form);
  reason.focus();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const { people } = await page.ask("POST", `/v1/team/${path}`, { name: one.name, reason: reason.value.trim() });
      dialog.close();
      draw(page, list, people);
      page.tell(one.quarantined ? `${one.name} is released.` : `${one.name} is set aside.`);
      list.querySelector(`[aria-label$=" ${CSS.escape(one.name)}"]`)?.focus();
    } catch (error) {
      problem.textContent = error.message;
    }
  });
}
