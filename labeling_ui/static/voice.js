// What the page says of itself: the line below the order, the notice on top, and what a screen reader hears.
import { make } from "./dom.js";

const HEARD = 3; // one that is replaced at once would never be read out: "Saved", and then the next task

export class Voice {
  constructor(find) {
    this.find = find;
  }

  // state: idle, saving, saved, waiting, loggedout, problem
  show(state, text) {
    this.find(".state").dataset.state = state;
    this.find(".state-text").textContent = text;
    if (text) this.tell(text);
  }

  get state() {
    return this.find(".state").dataset.state;
  }

  notice(text) {
    this.find(".notice").hidden = !text;
    this.find(".notice").textContent = text;
  }

  tell(text) {
    const place = this.find(".say");
    place.append(make("p", {}, text));
    while (place.childElementCount > HEARD) place.firstChild.remove();
  }

  work(on) {
    this.find(".work").setAttribute("aria-busy", String(on));
    this.find("[data-do=submit]").toggleAttribute("aria-disabled", on);
  }
}
