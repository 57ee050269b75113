// The team's page: a menu of sections, one of them open. Its address says which: /team#agreement.
import { call } from "./calls.js";
import { make } from "./dom.js";
import { audit } from "./team-audit.js";
import { disputes } from "./team-disputes.js";
import { exporting } from "./team-export.js";
import { annotators } from "./team-people.js";
import { drawn } from "./team-section.js";

// Sections that are more than figures: each fills its place.
const OWN = { annotators, disputes, audit, export: exporting };

const root = document.querySelector("#align");
const page = {
  find: (selector) => root.querySelector(selector),
  tell: (text) => (root.querySelector(".say").textContent = text),
  ask,
  me: null,
};

// The answer's data; throws a sentence. Without a login the login page takes over.
async function ask(method, path, body) {
  const answer = await call(method, path, body).catch(() => null);
  if (answer?.status === 401) return new Promise(() => location.assign("/login"));
  if (answer?.ok) return answer.data;
  throw new Error(`${answer?.data?.sentence ?? "The server does not answer"}.`);
}

let opened = 0;

async function open(sections) {
  const name = location.hash.slice(1);
  const entry = sections.find((one) => one.name === name) ?? sections[0];
  for (const link of page.find(".team-menu").querySelectorAll("a")) {
    if (link.hash === `#${entry.name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${entry.title} · Team · Instruct Loop`;
  const turn = (opened += 1);
  const place = make("section", { "aria-labelledby": "team-title", "data-section": entry.name }, make("h1", { id: "team-title", tabindex: "-1" }, entry.title));
  const main = page.find(".team-main");
  main.replaceChildren(place);
  main.setAttribute("aria-busy", "true");
  if (name) place.querySelector("h1").focus({ preventScroll: true });
  scrollTo({ top: 0 });
  const still = () => turn === opened;
  try {
    await (OWN[entry.name] ?? drawn)(page, place, { name: entry.name, still });
  } catch (error) {
    if (still()) place.append(make("p", { class: "problem", role: "alert" }, error.message));
  }
  if (still()) main.setAttribute("aria-busy", "false");
}

async function begin() {
  page.me = await ask("GET", "/v1/me");
  page.find(".who-is").textContent = page.me.local ? "" : `${page.me.name}, ${page.me.role}`;
  const logout = page.find("[data-do=logout]");
  logout.hidden = page.me.local;
  logout.addEventListener("click", async () => {
    await call("POST", "/v1/logout", {}).catch(() => null);
    location.assign("/login");
  });
  const { sections } = await ask("GET", "/v1/team/sections");
  page.find(".team-menu").replaceChildren(make("ul", {}, ...sections.map((one) => make("li", {}, make("a", { href: `#${one.name}` }, one.title)))));
  addEventListener("hashchange", () => location.hash !== "#team-main" && open(sections));
  await open(sections);
}

begin().catch((error) => page.find(".team-main").replaceChildren(make("p", { class: "problem", role: "alert" }, error.message)));
