// What is not submitted yet: at once in this browser, soon after on the server. The newer of the two is shown again.
import { call } from "./calls.js";
import { forget, keep, recall } from "./memory.js";

const SOON_MS = 600;

export class Drafts {
  constructor(user) {
    this.user = user;
    this.timer = null;
    window.addEventListener("pagehide", () => this.now());
  }

  name(lease) {
    return `draft:${this.user}:${lease}`;
  }

  set(lease, said, seconds, edits) {
    this.next = { lease, draft: { said, seconds, edits, at: Date.now() } };
    keep(this.name(lease), this.next.draft);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.now(), SOON_MS);
  }

  now() {
    clearTimeout(this.timer);
    if (!this.next) return;
    const { lease, draft } = this.next;
    this.next = null;
    const body = JSON.stringify({ lease, draft: JSON.stringify(draft) });
    if (body.length < 60000) {
      fetch("/v1/draft", { method: "POST", body, keepalive: true, credentials: "same-origin", headers: { "Content-Type": "application/json" } }).catch(() => null);
    } else {
      call("POST", "/v1/draft", { lease, draft: JSON.stringify(draft) }).catch(() => null);
    }
  }

  // null where nothing was begun.
  get(task) {
    const here = recall(this.name(task.lease));
    let there = null;
    try {
      there = JSON.parse(task.draft ?? "null");
    } catch {
      // another program's draft
    }
    if (!here?.said || (there?.said && there.at > here.at)) return there?.said ? there : null;
    return here;
  }

  drop(lease) {
    clearTimeout(this.timer);
    this.next = null;
    forget(this.name(lease));
  }
}
