// Writing a response, or improving one.
export class Writing {
  constructor(place, change) {
    this.place = place;
    this.area = place.querySelector("textarea");
    this.area.addEventListener("input", () => change(this.area.value));
  }

  draw(task, said) {
    this.place.hidden = !(task.kind === "write" || (task.kind === "edit" && said.slot));
    this.place.querySelector("label").textContent = task.kind === "write" ? "Your response" : `Response ${said.slot}, improved`;
    this.place.querySelector(".writing-hint").textContent = "Ctrl + Enter submits.";
    this.area.value = said.text;
  }

  focus() {
    this.area.focus();
  }
}
