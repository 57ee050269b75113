// Calls to the server. A call that got no answer throws; a refusal comes back as an answer.
const PATIENCE_MS = 20000;

let person = "";

// Whom this page was opened by. Where another tab has logged in somebody else, the server takes this page as logged out.
export function actAs(name) {
  person = name;
}

export async function call(method, path, body, as = person) {
  const acting = as ? { "X-Align-Person": encodeURIComponent(as) } : {};
  const response = await fetch(path, {
    method,
    credentials: "same-origin",
    cache: "no-store",
    redirect: "manual",
    headers: body === undefined ? acting : { ...acting, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (response.type === "opaqueredirect") return { ok: false, status: 401, data: {} }; // a proxy, which sends to its login
  const data = await response.json().catch(() => ({}));
  return { ok: response.ok, status: response.status, data };
}

// crypto.randomUUID is missing where a page comes over plain http from another machine.
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
