// Tells a client's page whether the sign-ins of this browser are still those that it knows
// (OpenID Connect Session Management 1.0, section 3.2).
"use strict";

const cookieName = document.currentScript.dataset.cookie;

function browserState() {
  for (const part of document.cookie.split(";")) {
    const [name, value] = part.trim().split("=", 2);
    if (name === cookieName) {
      return value;
    }
  }
  return "";
}

async function hashed(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function judged(message, origin) {
  const [, clientId, known, salt] = /^(\S+) ([0-9a-f]{64})\.([0-9a-f]+)$/.exec(message) ?? [];
  const state = browserState();
  // Without the cookie nothing can be said: the browser keeps it from frames. "changed" would sign people out.
  if (!clientId || !state || !crypto.subtle) {
    return "error";
  }
  return (await hashed(`${clientId} ${origin} ${state} ${salt}`)) === known ? "unchanged" : "changed";
}

addEventListener("message", async (event) => {
  if (!event.source || event.source === window || event.origin === "null") {
    return;
  }
  event.source.postMessage(await judged(String(event.data), event.origin), event.origin);
});
