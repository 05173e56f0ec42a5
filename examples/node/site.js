// A site with a login on clients/node, with Express; from a checkout, with Debian's node-express:
//
//     node examples/node/site.js [PORT]     then http://localhost:8000: ann, password apple
"use strict";

const express = require("express");
// Where npm has installed it: require("tokencache").
const { sessions } = require("../../clients/node");

const MOST_NOTE = 200;

const passwordIsRight = (form) => form.name === "ann" && form.password === "apple";
const escaped = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt()};`);
const text = (value) => (typeof value === "string" ? value : "");

// Carries out what was asked for; false where the form has to be shown again.
async function carriedOut(what, session, form) {
  // The second click of two has logged in already, whatever became of its form.
  if (what === "POST /login" && session.user !== null) return true;
  if (!session.passed) return false;
  if (what === "POST /login" && passwordIsRight(form)) return session.login(form.name);
  const note = text(form.note);
  if (what === "POST /note" && session.user !== null && note.length <= MOST_NOTE) {
    await session.set({ note });
    return true;
  }
  if (what === "POST /logout") await session.logout();
  return what === "POST /logout";
}

// The forms are filled as they came.
function page(session, form) {
  const csrf = session.csrfField();
  const forms = session.user === null
    ? `<form method="post" action="/login">${csrf}<input name="name" value="${escaped(text(form.name))}">`
      + '<input name="password" type="password"><button>Log in</button></form>'
    : `<form method="post" action="/note">${csrf}`
      + `<input name="note" value="${escaped(text(form.note ?? session.data.note))}"><button>Keep</button></form>`
      + `<form method="post" action="/logout">${csrf}<button>Log out</button></form>`;
  const notice = form.csrf === undefined ? "" : "Please send it again.";
  return `<!doctype html><title>Sessions</title><p>${notice} Hello, <b>${escaped(session.user ?? "guest")}</b>.</p>${forms}`;
}

const session = sessions({
  socket: process.env.TOKENCACHED_SOCKET ?? "/run/tokencached/tokencached.sock",
  // A cookie for http://localhost. Leave it out where the site has HTTPS.
  development: true,
  data: ["note"],
});
const app = express();
// The form before the session: so it is checked in the same question.
app.use(express.urlencoded({ extended: false }), session);
app.use(session.handler(async (request, response) => {
  const { session, method, path, body: form = {} } = request;
  if (await carriedOut(`${method} ${path}`, session, form)) response.redirect(303, "/");
  else response.send(page(session, form));
}));
app.listen(Number(process.argv[2] ?? 8000), "127.0.0.1");
