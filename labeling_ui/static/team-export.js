// Snapshots: take one, see what each is called and used with, download its records.
import { make } from "./dom.js";

const KINDS = ["rankings", "demonstrations", "verdicts"];

export async function exporting(page, place, { still }) {
  const list = make("div", { class: "snapshots" });
  const problem = make("p", { class: "problem", role: "alert" });
  const take = make("button", { type: "button", class: "primary ready" }, "Take a snapshot");
  const show = async () => {
    const { snapshots } = await page.ask("GET", "/v1/team/snapshots");
    if (!still()) return;
    list.replaceChildren(...(snapshots.length ? snapshots.map((one) => sheet(page, one)) : [make("p", { class: "hint" }, "There is no snapshot yet.")]));
  };
  take.addEventListener("click", async () => {
    if (take.hasAttribute("aria-disabled")) return;
    take.setAttribute("aria-disabled", "true");
    problem.textContent = "";
    try {
      const { snapshot } = await page.ask("POST", "/v1/team/snapshot", {});
      await show();
      page.tell(`Snapshot ${snapshot.name} is there.`);
      list.querySelector(`[data-name="${snapshot.name}"]`)?.scrollIntoView({ block: "nearest" });
    } catch (error) {
      problem.textContent = error.message;
    }
    take.removeAttribute("aria-disabled");
  });
  place.append(make("p", { class: "lead" }, "A snapshot is all labels of a moment under a name made of their content. It never changes; the same labels are the same snapshot."), make("p", {}, take), problem, list, other());
  await show();
}

function sheet(page, one) {
  const held = KINDS.filter((kind) => one.counts[kind]);
  const at = new Date(one.created).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const told = `${at} · ${held.map((kind) => `${one.counts[kind].toLocaleString("en")} ${kind}`).join(", ")}`;
  const command = make("code", { class: "command" }, one.command);
  const links = held.map((kind) => make("a", { class: "quiet", href: `/v1/team/download/${one.digest}/${kind}`, download: `${kind}-${one.name}.jsonl` }, `${kind}.jsonl`));
  const down = page.me.role === "admin" ? make("p", { class: "row" }, "Download", ...links) : make("p", { class: "hint" }, "Records name the models, so an admin downloads them.");
  return make("section", { class: "sheet snapshot", "data-name": one.name, "aria-label": `Snapshot ${one.name}` }, make("h2", {}, make("code", {}, one.name)), make("p", { class: "hint" }, told), command, down);
}

function other() {
  const steps = [
    ["Other formats (TRL, HH, Argilla, …), from a downloaded file", "align export rankings.jsonl --format trl --output trl.jsonl"],
    ["All labels of now, on the server's machine", "align store export labels.db --output rankings.jsonl"],
  ];
  return make("section", { class: "sheet", "aria-label": "Other ways" }, make("h2", {}, "Other ways"), ...steps.flatMap(([what, command]) => [make("p", { class: "hint" }, what), make("code", { class: "command" }, command)]));
}
