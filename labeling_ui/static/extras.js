// Below the cards: how much better, none acceptable, the ideal answer, a comment; or a verdict.
import { make } from "./dom.js";

const STRENGTHS = ["negligibly", "slightly", "clearly", "significantly"];

export class Extras {
  // change(part): some fields of what was said.
  constructor(place, change) {
    this.place = place;
    this.change = change;
  }

  draw(task, said) {
    this.kind = task.kind;
    const parts = [];
    if (task.kind === "rank") parts.push(this.strength(said), this.none(said));
    if (task.kind === "judge") parts.push(this.verdict(said));
    if (task.kind === "rank") parts.push(this.field("ideal", "Write the ideal answer", "Becomes a demonstration: it must stand alone.", said.ideal, 5));
    parts.push(this.field("comment", "Comment", "For the team; nobody learns from it.", said.comment, 2));
    this.place.replaceChildren(...parts);
  }

  strength(said) {
    const made = STRENGTHS.map((word, value) => {
      const box = make("input", { type: "radio", name: "align-strength", value, id: `align-strength-${value}`, on: { change: () => this.change({ strength: value }) } });
      box.checked = said.strength === value;
      return make("label", { class: "choice", for: `align-strength-${value}` }, box, word);
    });
    const clear = make("button", { type: "button", class: "quiet small", on: { click: () => this.setStrength(null) } }, "no opinion");
    return make("fieldset", { class: "strength" }, make("legend", {}, "How much better is the best one?"), ...made, clear);
  }

  setStrength(value) {
    for (const box of this.place.querySelectorAll("[name=align-strength]")) box.checked = Number(box.value) === value;
    this.change({ strength: value });
  }

  none(said) {
    const box = make("input", { type: "checkbox", id: "align-none", on: { change: () => this.change({ none: box.checked }) } });
    box.checked = said.none;
    return make("label", { class: "choice none", for: "align-none" }, box, "None is acceptable");
  }

  toggleNone() {
    this.place.querySelector("#align-none")?.click();
  }

  verdict(said) {
    const made = ["good", "bad"].map((word) => {
      const box = make("input", { type: "radio", name: "align-verdict", value: word, id: `align-${word}`, on: { change: () => this.change({ verdict: word }) } });
      box.checked = said.verdict === word;
      return make("label", { class: "choice", for: `align-${word}` }, box, word);
    });
    return make("fieldset", { class: "verdict" }, make("legend", {}, "Is this response good?"), ...made);
  }

  setVerdict(word) {
    this.place.querySelector(`#align-${word}`)?.click();
  }

  field(name, title, hint, value, rows) {
    const area = make("textarea", { id: `align-${name}`, rows, dir: "auto", "aria-describedby": `align-${name}-hint`, on: { input: () => this.change({ [name]: area.value }) } });
    area.value = value;
    const label = make("label", { class: "hidden-text", for: `align-${name}` }, title);
    const details = make("details", { class: "field", "data-field": name }, make("summary", {}, title), label, area, make("p", { class: "hint", id: `align-${name}-hint` }, hint));
    details.open = value !== "";
    return details;
  }

  openField(name) {
    const details = this.place.querySelector(`[data-field=${name}]`);
    if (!details) return;
    details.open = true;
    details.querySelector("textarea").focus();
  }
}
