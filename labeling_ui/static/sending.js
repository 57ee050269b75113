// Answers, skips and undos on their way to the server, and what the page does with the receipt.
import * as answers from "./answers.js";
import { newKey } from "./calls.js";
import { askSkip } from "./dialogs.js";
import { drawFeedback } from "./feedback.js";

export class Sending {
  constructor(page) {
    this.page = page;
  }

  async submit() {
    const { page } = this;
    if (page.busy || !page.task) return;
    const { task, said, edits } = page;
    const problem = answers.missing(task, said);
    if (problem && !(page.confirmed && answers.maySendPart(task, said))) {
      page.confirmed = answers.maySendPart(task, said);
      page.voice.show("problem", page.confirmed ? `${problem} Submit again to send it as not compared.` : problem);
      page.refresh();
      return;
    }
    const sent = await this.send("/v1/submit", { lease: task.lease, answer: answers.toStore(task, said, page.watch.seconds), key: newKey(), edits });
    if (!sent) return this.refused();
    this.saved(sent.receipt);
    await (task.practice && task.kind === "rank" ? this.feedback(task) : page.next());
  }

  // What can be put right is put right here; a task that is answered or gone makes room for the next.
  async refused() {
    const { page } = this;
    if (page.line.reason === "invalid") return;
    page.voice.notice(page.find(".state-text").textContent);
    await page.next();
  }

  saved(receipt) {
    const { page } = this;
    page.voice.notice("");
    page.drafts.drop(page.task.lease);
    if (!page.task.practice) page.progress.add();
    const at = new Date(receipt.saved).toLocaleTimeString([], { timeStyle: "medium" });
    page.voice.show("saved", receipt.counted ? `Saved at ${at}` : `Saved at ${at}, after its time: others had answered it`);
  }

  async skip() {
    const { page } = this;
    const reason = await askSkip();
    if (reason === null) return;
    const sent = await this.send("/v1/skip", { lease: page.task.lease, reason, key: newKey() });
    if (!sent) return this.refused();
    page.drafts.drop(page.task.lease);
    page.voice.show("saved", "Skipped");
    await page.next();
  }

  async undo() {
    const { page } = this;
    if (page.busy) return;
    page.drafts.now();
    const sent = await this.send("/v1/undo", { key: newKey() });
    if (!sent) return;
    page.open(sent.task, answers.fromStore(sent.task.answer));
    page.voice.show("idle", "Taken back. Change it and submit again.");
  }

  async send(path, body) {
    this.work(true);
    const sent = await this.page.line.send(path, body);
    this.work(false);
    return sent;
  }

  work(on) {
    this.page.busy = on;
    this.page.voice.work(on);
  }

  async feedback(task) {
    const { page } = this;
    const told = await page.line.ask("GET", `/v1/feedback/${task.lease}`);
    page.busy = true; // until it is read
    await drawFeedback(page.find(".feedback"), told, page.said.tiers, (text) => page.voice.tell(text));
    page.busy = false;
    await page.next();
  }
}
