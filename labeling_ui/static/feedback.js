// After a practice item: what the team thinks, and why.
import { make } from "./dom.js";
import { inWords } from "./ranking.js";

export function drawFeedback(place, told, mine, tell) {
  const same = inWords(mine.map((tier) => [...tier].sort())) === inWords(told.tiers.map((tier) => [...tier].sort()));
  const title = same ? "You agree with the team" : "The team sees it differently";
  return new Promise((resolve) => {
    const go = make("button", { type: "button", class: "primary", "data-go": true, on: { click: () => ((place.hidden = true), resolve()) } }, "Continue");
    const rows = make("dl", {}, make("dt", {}, "The team"), make("dd", {}, inWords(told.tiers)), make("dt", {}, "You"), make("dd", {}, inWords(mine)));
    place.replaceChildren(make("h2", {}, title), rows, make("p", { dir: "auto" }, told.note ?? ""), go);
    place.classList.toggle("agrees", same);
    place.hidden = false;
    place.scrollIntoView({ block: "center" });
    go.focus({ preventScroll: true });
    tell(`${title}. The team: ${inWords(told.tiers)}. ${told.note ?? ""}`);
  });
}
