"use strict";

const { Client } = require("./client.js");
const { Cookie } = require("./cookie.js");
const { NotAccepted, Unavailable } = require("./errors.js");
const { Session } = require("./session.js");

// Of a page that was sent to itself.
const MARK = "again=1";
// What a request calls itself when it is a page, as old browsers and plain HTTP do not.
const NAVIGATION = "navigate";
// The longest that BIND ua takes, in bytes.
const MOST_SIGNAL = 4096;
const LOCAL_HOST = /^(?:localhost|[\w-]+\.localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/i;

// A middleware for Express, and for whatever calls (request, response, next): it gives each request its `session`.
//   socket       the daemon's Unix socket; timeoutMs how long an answer may take (2000)
//   client       a client to use in their place, as a MemoryClient in tests
//   cookie       the cookie's name, "tc": __Host-tc on HTTPS
//   development  true on http://localhost, and nowhere else: the cookie has the plain name and no Secure
//   form         the name that the forms of the site have in the daemon, "site"
//   bind         a function of the request: the signals that tokens are bound to, { ip, ua }
//   data         the fields that each request needs: they come with the one question that is asked anyway
function sessions(options = {}) {
  const { socket, timeoutMs, development = false, form: formName = "site", bind = () => ({}), data: fields = [] } = options;
  const client = options.client ?? new Client({ socket, timeoutMs });
  const cookie = new Cookie(options.cookie, development);

  // Resolves with whether the request goes on.
  async function start(request, response) {
    const { headers, method } = request;
    if (development && !LOCAL_HOST.test(headers.host ?? ""))
      throw new Error("development is for http://localhost: a site that others use has HTTPS, and no `development: true`");
    const isPost = method !== "GET" && method !== "HEAD";
    const state = { session: null, isUnavailable: false };
    onHead(response, () => finish(response, cookie, state));
    try {
      state.session = await Session.visit(client, {
        token: cookie.tokenIn(headers.cookie),
        cookie,
        formName,
        bind: signals(bind(request)),
        fetchSite: headers["sec-fetch-site"],
        isForeign: isForeign(headers),
        fetchMode: headers["sec-fetch-mode"],
        isPost,
        csrf: isPost ? csrfOf(request) : null,
        fields,
        hasBegun: () => response.headersSent,
      });
    } catch (error) {
      state.isUnavailable = error instanceof Unavailable;
      throw error;
    }
    request.session = state.session;
    return !(state.session.superseded && comesAgain(request, response));
  }

  function middleware(request, response, next) {
    start(request, response).then((goesOn) => goesOn && next(), next);
  }

  // A listener for plain http, of an asynchronous function of request and response: what it rejects with is answered,
  // 503 where nobody knows, 409 where a token ended meanwhile. As a handler of Express it hands rejections on, which
  // Express 4 does not by itself.
  middleware.handler = (handle) => async (request, response, next) => {
    try {
      if (request.session instanceof Session || (await start(request, response))) await handle(request, response, next);
    } catch (error) {
      if (error instanceof NotAccepted && !response.headersSent && comesAgain(request, response)) return;
      if (next) next(error);
      else answer(response, error);
    }
  };
  middleware.client = client;
  return middleware;
}

// The browser has a newer token than the one it sent: a page is sent to itself, once. Returns whether it was.
function comesAgain({ method, headers, originalUrl, url }, response) {
  const again = onceMore(originalUrl ?? url);
  const isPage = ["GET", "HEAD"].includes(method) && (headers["sec-fetch-mode"] || NAVIGATION) === NAVIGATION;
  if (!isPage || again === null) return false;
  response.writeHead(303, { Location: again });
  response.end();
  return true;
}

function answer(response, error) {
  const isOurs = error instanceof Unavailable || error instanceof NotAccepted;
  console.error(isOurs ? `${error.status}: ${error.message}` : error);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  response.writeHead(isOurs ? error.status : 500, { "Content-Type": "text/plain; charset=utf-8", ...(isOurs && error.headers) });
  response.end(isOurs ? "try again\n" : "internal server error\n");
}

// Called when the head of a response is about to be sent, whatever the site did to it before, an error page's 503 too:
// a later fault takes back no token that was given.
function finish(response, cookie, { session, isUnavailable }) {
  if (session?.setCookie) {
    const others = [response.getHeader("Set-Cookie") ?? []].flat().filter((line) => !line.startsWith(`${cookie.name}=`));
    response.setHeader("Set-Cookie", [...others, session.setCookie]);
  }
  const isFault = isUnavailable || session?.isUnavailable;
  if (isFault && response.statusCode === 503 && !response.hasHeader("Retry-After")) response.setHeader("Retry-After", "1");
  // Nobody else may be given this visitor's cookie or form, nor a moment's fault later on.
  const isPersonal = isFault || !session || session.setCookie || session.isPersonal || session.superseded;
  if (isPersonal || !response.hasHeader("Cache-Control")) response.setHeader("Cache-Control", "no-store");
}

// Calls `change` before a head is written, with all its headers in the response.
function onHead(response, change) {
  const writeHead = response.writeHead;
  response.writeHead = function (status, ...rest) {
    const reason = typeof rest[0] === "string" ? [rest.shift()] : [];
    response.statusCode = status;
    for (const [name, value] of pairsOf(rest[0] ?? {})) response.setHeader(name, value);
    change();
    return writeHead.call(response, status, ...reason);
  };
}

// The headers of writeHead: an object, or a list of names and values in which a name may stand more than once.
function pairsOf(headers) {
  if (!Array.isArray(headers)) return Object.entries(headers).filter(([, value]) => value !== undefined);
  const flat = headers.flat();
  const values = new Map();
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = flat[i].toLowerCase();
    values.set(name, [...(values.get(name) ?? []), flat[i + 1]]);
  }
  return Array.from(values, ([name, all]) => [name, all.length === 1 ? all[0] : all]);
}

// The form's token that came: in the body, where it was parsed, or from a script as a header. null where it may yet
// come.
function csrfOf(request) {
  const csrf = request.headers["x-csrf-token"] ?? request.body?.csrf;
  if (csrf === undefined && (request.body === undefined || request.body === null)) return null;
  return typeof csrf === "string" ? csrf : "";
}

// Whether another site's page made the request, as far as a browser without Sec-Fetch headers says it.
function isForeign({ origin, host = "" }) {
  return origin !== undefined && origin.replace(/^https?:\/\//i, "").toLowerCase() !== host.toLowerCase();
}

// A browser without a name is bound to that: where the daemon wants the signal, nobody could log in without it.
function signals(given) {
  const { ip, ua } = given;
  return { ...(ip ? { ip } : {}), ...("ua" in given ? { ua: beginOf(ua ?? "", MOST_SIGNAL) } : {}) };
}

// So much of a text as has that many bytes, in whole characters.
function beginOf(text, most) {
  return text.slice(0, new TextEncoder().encodeInto(text, new Uint8Array(most)).read);
}

// The address of the page itself: its query, and the mark as a parameter of its own. Whatever the path is, it stays.
// null where the mark is there: once is enough.
function onceMore(url) {
  const [, query = ""] = url.split(/\?(.*)/s, 2);
  if (query.split("&").includes(MARK)) return null;
  return query === "" ? `?${MARK}` : `?${query}&${MARK}`;
}

module.exports = { sessions };
