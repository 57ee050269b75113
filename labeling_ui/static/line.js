// The line to the server: what is asked is asked until there is an answer, what is sent goes through the outbox.
import { call } from "./calls.js";
import { askLogin, awaitLogin } from "./logins.js";
import { Outbox, Refused } from "./outbox.js";

export class Line {
  // show(state, sentence)
  constructor(me, show) {
    this.me = me;
    this.show = show;
    this.outbox = new Outbox(me.name, show, () => this.login());
  }

  // null where the server refuses it: the sentence is shown, `reason` says why, the work stays.
  async send(path, body) {
    try {
      return await this.outbox.post(path, body);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.reason = error.reason;
      this.show("problem", `Not saved: ${error.message}`);
      return null;
    }
  }

  async ask(method, path, body) {
    for (let wait = 500; ; wait = Math.min(wait * 2, 5000)) {
      const answer = await call(method, path, body).catch(() => null);
      if (answer?.ok) return answer.data;
      if (answer?.status === 401) await this.login();
      else {
        this.show("waiting", `${answer?.data?.sentence ?? "The server does not answer."} Trying again …`);
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  login() {
    this.loggingIn ??= (this.me.proxy ? awaitLogin : askLogin)(this.me.name).finally(() => (this.loggingIn = null));
    return this.loggingIn;
  }
}
