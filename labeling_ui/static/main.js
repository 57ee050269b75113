// Begins the page once Gradio has put it up.
import { actAs, call } from "./calls.js";
import { Page } from "./page.js";

export async function start(element) {
  const root = element.querySelector("#align");
  if (!root || root.dataset.started) return;
  root.dataset.started = "true";
  for (let wait = 500; ; wait = Math.min(wait * 2, 5000)) {
    const me = await call("GET", "/v1/me").catch(() => null);
    if (me?.status === 401 && me.data.reason === "login") return location.assign("/login");
    if (me?.status === 401 || me?.status === 403) return shut(root, me.data.sentence);
    if (me?.ok) {
      actAs(me.data.name);
      return new Page(root, me.data).begin();
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

// A proxy has logged nobody in, or somebody who may not label: opening the page anew is what may help, not this page.
function shut(root, sentence) {
  const notice = root.querySelector(".notice");
  notice.textContent = `${sentence ?? "you are logged out; open this page anew to log in"}.`;
  notice.hidden = false;
}
