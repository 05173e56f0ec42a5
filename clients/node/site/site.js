"use strict";
// The little site that every package has, on the public parts of this one: routes by method and path. Each is a
// function of request, response and form; `request.session` is the visitor.

const { NotAccepted } = require("tokencache");

// One field an item, so that two requests that add to a cart lose nothing.
const FIELD = "cart:";
const MOST_ITEM = 200;
const MOST_USER = 256;
const REMEMBERED = { idle: "30d", absolute: "90d" };
const MARKUP = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

const escaped = (text) => text.replace(/[&<>"']/g, (c) => MARKUP[c]);
const fits = (name, most) => name !== "" && Buffer.byteLength(name) <= most;
const text = (value) => (typeof value === "string" ? value : "");

function send(response, status, type, body) {
  response.writeHead(status, { "Content-Type": type, "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

function json(response, value, status = 200) {
  send(response, status, "application/json", JSON.stringify(value));
}

function page(response, title, body, status = 200) {
  send(response, status, "text/html; charset=utf-8", `<!doctype html><title>${title}</title>${body}`);
}

function redirect(response, address = "/") {
  response.writeHead(303, { Location: address });
  response.end();
}

function form(session, action, fields) {
  return `<form method="post" action="${action}">${session.csrfField()}${fields}</form>`;
}

function site({ revealsCaptchas = false } = {}) {
  function home({ session }, response) {
    page(response, "Home", (session.user === null
      ? '<p>guest</p><a href="/login">log in</a>'
      : `<p>user: ${escaped(session.user)}</p>${form(session, "/logout", "<button>log out</button>")}`
        + form(session, "/logout-everywhere", "<button>log out everywhere</button>")) + cartForm(session));
  }

  function cartForm(session, item) {
    return form(session, "/cart", `<input name="item" value="${escaped(text(item))}"><button>add to the cart</button>`);
  }

  function loginPage({ session }, response, { user } = {}) {
    page(response, "Log in", form(session, "/login", `<input name="user" value="${escaped(text(user))}">`
      + '<label><input type="checkbox" name="remember" value="1">remember me</label><button>log in</button>'));
  }

  async function login(request, response, fields) {
    const { session } = request;
    const user = text(fields.user);
    // Somebody is logged in already: the second click of two, whatever became of its form.
    if (!session.passed && session.user !== null) return redirect(response);
    if (!session.passed || !fits(user, MOST_USER)) return loginPage(request, response, fields);
    await session.login(user, fields.remember ? REMEMBERED : {});
    redirect(response);
  }

  const logout = (how) => async (request, response) => {
    if (!request.session.passed) return home(request, response);
    await request.session[how]();
    redirect(response);
  };

  async function items(session) {
    const fields = Object.keys(await session.get());
    return fields.filter((field) => field.startsWith(FIELD)).map((field) => field.slice(FIELD.length)).sort();
  }

  async function addItem({ session }, response, { item }) {
    const again = () => page(response, "Cart", cartForm(session, item));
    if (!session.passed || !fits(text(item), MOST_ITEM)) return again();
    try {
      await session.set({ [FIELD + item]: "1" });
    } catch (error) {
      // The browser has a newer token than it sent, and with that the form will do.
      if (error instanceof NotAccepted) return again();
      throw error;
    }
    json(response, await items(session));
  }

  async function contactPage({ session }, response, { text: message } = {}) {
    const captcha = await session.captcha();
    const solution = revealsCaptchas ? ` data-solution="${escaped(await session.captchaSolution(captcha))}"` : "";
    page(response, "Contact", form(session, "/contact", `<input type="hidden" name="captcha" value="${captcha}"${solution}>`
      + `<img src="/captcha?of=${captcha}" alt=""><input name="answer"><textarea name="text">${escaped(text(message))}</textarea>`
      + "<button>send</button>"));
  }

  async function contact(request, response, fields) {
    if (await request.session.solved(fields.captcha, fields.answer)) redirect(response);
    else await contactPage(request, response, fields);
  }

  // A picture that a bot can read, too: draw yours.
  async function picture({ session, url }, response) {
    const solution = await session.captchaSolution(new URLSearchParams(url.split("?")[1]).get("of"));
    if (solution === null) return page(response, "Gone", "too old", 404);
    send(response, 200, "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40">`
      + `<text x="10" y="30" font-size="28">${escaped(solution)}</text></svg>`);
  }

  return {
    "GET /": home,
    "GET /login": loginPage,
    "POST /login": login,
    "POST /logout": logout("logout"),
    "POST /logout-everywhere": logout("logoutEverywhere"),
    "GET /cart": async ({ session }, response) => json(response, session.superseded ? [] : await items(session)),
    "POST /cart": addItem,
    "GET /api/me": ({ session: { user, sid } }, response) => (user === null ? json(response, { user }, 401) : json(response, { user, sid })),
    "POST /api/count": async ({ session }, response) => (session.user === null || !session.isOwn
      ? json(response, { user: null }, 401) : json(response, { count: await session.increment("count") })),
    "GET /devices": async ({ session }, response) =>
      json(response, (await session.devices()).map(({ sid, current }) => ({ sid, current })), session.user === null ? 401 : 200),
    "POST /devices/end": async (request, response, { sid }) => {
      if (!request.session.passed) return home(request, response);
      await request.session.endDevice(sid);
      redirect(response);
    },
    "GET /contact": contactPage,
    "POST /contact": contact,
    "GET /captcha": picture,
    // From another site, without a form of ours, perhaps without the cookie: it is believed by its own signature, not
    // by the visitor.
    "POST /payment/return": (request, response) => redirect(response),
  };
}

module.exports = { site };
