// The login page. Who came by a link from elsewhere is logged in already: a strict cookie is not sent with such a visit.
import { call } from "./calls.js";

const form = document.querySelector("form");
const problem = form.querySelector(".problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  try {
    const answer = await call("POST", "/v1/login", { name: form.elements.name.value, password: form.elements.password.value });
    if (answer.ok) location.replace("/");
    else problem.textContent = `${answer.data.sentence}.`;
  } catch {
    problem.textContent = "The server does not answer. Try again.";
  }
});

const me = await call("GET", "/v1/me").catch(() => null);
if (me?.ok) location.replace("/");
