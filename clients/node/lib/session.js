"use strict";

const { NotAccepted, Unavailable } = require("./errors.js");

// Longer than any form's token, captcha or answer. What a visitor sends beyond it is not asked about.
const MOST_FIELD = 4096;
const MOST_USER = 256;
const SID = /^[0-9a-f]{32}$/i;

// Whoever sent a request: one VISIT, and what the site does for this visitor afterwards. Every command takes the newest
// token that is known; the response gets the cookie of the last reply that had one.
class Session {
  #client;
  #request;
  // The newest token that is known.
  #token;
  // What VALIDATE is asked about: what the browser holds. Its successor would be confirmed by that before the browser
  // has it.
  #presented;
  #csrf = null;

  // Who is logged in, or null. A guest is nobody.
  user = null;
  // The public name of the session, fit for logs.
  sid;
  // "session", or "guest": of whom nothing is stored.
  kind;
  // When the user last proved who they are, Unix time in seconds; 0 if nobody did.
  authTime = 0;
  // What the token that came is worth: "valid", "rotated", "none", "revoked", …
  status;
  // Whether the browser holds a newer token than the one it sent, or is about to: a page is to be asked for again, and
  // so is an API. Whatever is shown, its forms work with the token that came.
  superseded;
  // What the form that came with the request is worth: "passed", "failed", "expired", "outdated", or null if none came.
  form = null;
  // The fields that the middleware brings along, as this request found them; those that are not there are left out.
  data = {};
  // Set-Cookie of the response, or null where the cookie stays as it is.
  setCookie = null;
  // Whether the response is this visitor's alone: it has their cookie, or a form of theirs.
  isPersonal = false;
  // Whether nobody knew an answer.
  isUnavailable = false;

  // Asks VISIT. Of the request: { token, cookie, formName, bind, fetchSite, isForeign, fetchMode, isPost, csrf,
  // fields, hasBegun() }.
  static async visit(client, request) {
    const session = new Session(client, request);
    await session.#visit();
    return session;
  }

  constructor(client, request) {
    this.#client = client;
    this.#request = request;
    this.#token = this.#presented = request.token;
  }

  async #visit() {
    const { token, formName, fetchMode, isPost, csrf, fields = [] } = this.#request;
    const fetchSite = this.#fetchSite(token === "");
    const reply = await this.#askAbout(
      "TOKEN.VISIT",
      ...(csrf === null ? [] : ["CHECK", bounded(csrf), formName]),
      ...(fetchSite ? ["FETCH-SITE", fetchSite] : []),
      ...(fetchMode ? ["FETCH-MODE", fetchMode] : []),
      ...(isPost ? ["POST"] : []),
      "CSRF", formName,
      ...fieldsOf(fields));
    this.status = reply.status;
    this.superseded = reply.accepted === 0 && reply.sessiontoken === undefined;
    this.form = reply.check ?? null;
    this.data = reply.data ?? {};
    this.#hold(reply);
    // Logged in means accepted, and a subject.
    if (reply.accepted === 0) this.user = null;
  }

  // Whether a form came with this request and is genuine. If not, carry nothing out and show the form again, as it was
  // filled.
  get passed() {
    return this.form === "passed";
  }

  // Whether the browser says that a page of this site made the request, or that it does not say. For an API that is
  // called without a form: other sites' pages can make a browser call it, too.
  get isOwn() {
    return ["same-origin", "none", ""].includes(this.#fetchSite(true));
  }

  // Checks the form of a request whose body was not parsed before the middleware: its field `csrf`. Resolves with
  // `passed`.
  async check(csrf) {
    const { formName, fetchSite } = this.#request;
    const reply = await this.#ask(
      "CSRF.VERIFY", this.#token, bounded(csrf), ...this.#bind(), "FORM", formName,
      ...(fetchSite ? ["FETCH-SITE", fetchSite] : []));
    this.form = reply.status;
    return this.passed;
  }

  // A token for the forms of this page; a script sends it as X-CSRF-Token.
  get csrf() {
    if (this.#csrf === null)
      throw new Error("after a logout there is no form: redirect, and the next request meets a new visitor");
    this.isPersonal = true;
    return this.#csrf;
  }

  // The hidden field of a form.
  csrfField() {
    return `<input type="hidden" name="csrf" value="${this.csrf}">`;
  }

  // Logs a user in whose password was checked. Resolves with true, or with false where the user has as many sessions as
  // allowed and session.on-limit is refuse. Rejects where no genuine form came with the request, unless `form: false`
  // says that another proof was checked, as a central login's `state`.
  //   idle, absolute  limits, as "30d": "remember me"; the cookie then outlives the browser
  //   persistent      whether the cookie outlives the browser, whatever the limits
  //   authTime        Unix time in seconds, where the password was proven earlier
  //   max             the most sessions that the user may have
  //   data            fields to store, as the browser's name for the list of devices
  async login(user, { idle, absolute, persistent, authTime, max, data = {}, form = true } = {}) {
    if (typeof user !== "string" || user === "" || Buffer.byteLength(user) > MOST_USER)
      throw new TypeError(`login takes the user's name or number as a text of 1 to ${MOST_USER} bytes`);
    if (form && !this.passed)
      throw new Error(`login without a genuine form (${this.form ?? "none came"}): look at session.passed first`);
    this.#expectToGive();
    const reply = await this.#ask(
      "TOKEN.LOGIN", this.#token, user, ...this.#bind(), ...options({ IDLE: idle, ABSOLUTE: absolute, "AUTH-TIME": authTime, MAX: max }),
      ...(persistent === undefined ? [] : ["COOKIE", persistent ? "persistent" : "session"]),
      "CSRF", this.#request.formName, ...dataOf(data));
    if (reply.accepted === 0) return false;
    await this.#renew(reply);
    return true;
  }

  // A new token at once, after any other change of privilege. Limits stay unless they are given.
  async rotate({ idle, absolute } = {}) {
    this.#expectToGive();
    const reply = living(await this.#askAbout("TOKEN.ROTATE", ...limits({ idle, absolute }), "CSRF", this.#request.formName));
    await this.#renew(reply);
  }

  // New limits for this session, as "1h".
  async expire({ idle, absolute } = {}) {
    this.#expectToGive();
    living(await this.#askAbout("TOKEN.EXPIRE", ...limits({ idle, absolute })));
  }

  // Whether the user proved who they are within a duration, as "10m"; if not, ask for the password and call login.
  async isFresh(within) {
    this.#expectToGive();
    const reply = await this.#note(
      this.#client.askAbout("TOKEN.VALIDATE", this.#presented, ...this.#bind(), "REQUIRE", "login-within", within));
    return reply.accepted === 1;
  }

  // Ends this session. Resolves with whether there was one to end; the cookie is deleted if so.
  async logout() {
    this.#expectToGive();
    const ended = (await this.#ask("TOKEN.REVOKE", this.#token)).status === "revoked";
    if (ended) this.#end();
    return ended;
  }

  // Ends all sessions of the user, this one too. Resolves with how many there were.
  async logoutEverywhere() {
    if (this.user === null) return 0;
    this.#expectToGive();
    const { count } = await this.#ask("TOKEN.REVOKEALL", this.user);
    this.#end();
    return count;
  }

  // Ends all sessions of the user but this one. Resolves with how many there were.
  async logoutElsewhere() {
    if (this.user === null) return 0;
    const reply = await this.#ask("TOKEN.REVOKEALL", this.user, "EXCEPT", this.#token, ...this.#bind());
    // Of a token that ended the status is `revoked`, too.
    return living(reply, ({ count }) => count !== undefined).count;
  }

  // The sessions of the user, the newest first, at most 100; with the fields that are named.
  async devices(...fields) {
    if (this.user === null) return [];
    const list = await this.#ask("TOKEN.LIST", this.user, ...fieldsOf(fields));
    return list.map((entry) => ({
      sid: entry.sid, current: entry.sid === this.sid, created: entry.created, modified: entry.modified,
      authTime: entry.auth_time, expiresIn: entry.expires_in, data: entry.data ?? {} }));
  }

  // Ends a session by its sid, as a form brings it: one of this user's only. Resolves with whether there was one.
  async endDevice(sid) {
    if (this.user === null || typeof sid !== "string" || !SID.test(sid)) return false;
    if (sid.toLowerCase() === this.sid) return this.logout();
    return (await this.#ask("TOKEN.REVOKE", "SID", sid.toLowerCase(), "SUBJECT", this.user)).status === "revoked";
  }

  // Fields of this visitor's data, all of them if none is named. Those that are not there are left out.
  async get(...fields) {
    return living(await this.#askAbout("TOKEN.GET", ...fieldsOf(fields))).data;
  }

  // Stores fields; an empty text removes one. A guest becomes a session by it. Resolves with { changed, conflict }: how
  // many values changed, and null. With `if` it writes only where these fields are as said, an empty text: not there.
  // Else `conflict` has them as they are.
  async set(data, { idle, absolute, if: condition = {} } = {}) {
    this.#expectToGive();
    const conditions = Object.entries(condition).flatMap(([field, value]) => ["IF", field, value ?? ""]);
    const reply = living(await this.#askAbout("TOKEN.SET", ...limits({ idle, absolute }), ...conditions, ...dataOf(data)));
    return { changed: reply.changed, conflict: reply.status === "conflict" ? reply.data : null };
  }

  // Adds to a field, atomically over all hosts, and resolves with the sum. Unavailable means once or not at all.
  async increment(field, by = 1) {
    this.#expectToGive();
    return living(await this.#askAbout("TOKEN.INCR", "DATA", field, by)).value;
  }

  // Takes fields out: of any number of takers at most one gets them. For messages that are shown once, codes that are
  // good once.
  async take(...fields) {
    return living(await this.#askAbout("TOKEN.GETDEL", "DATA", ...fields)).data;
  }

  // A captcha of this visitor's for a form of this page: it goes into a hidden field, and into the address of the
  // picture. Its solution is sealed in it.
  async captcha({ length, solution, lifetime } = {}) {
    const reply = living(await this.#ask(
      "CAPTCHA.ISSUE", ...options({ LENGTH: length, SOLUTION: solution, LIFETIME: lifetime }),
      "FORM", this.#request.formName, "FOR", this.#token, ...this.#bind()),
      ({ status }) => status === "issued");
    this.isPersonal = true;
    return reply.captcha;
  }

  // The solution of a captcha, for the request that draws the picture, and for nothing else; null if it is none, or too
  // old.
  async captchaSolution(captcha) {
    return (await this.#ask("CAPTCHA.OPEN", bounded(captcha))).solution ?? null;
  }

  // Whether the answer is right. The first attempt spends the captcha, so nothing is asked where the form did not pass:
  // somebody else's request would spend it.
  async solved(captcha, answer) {
    if (!this.passed) return false;
    return (await this.#ask(
      "CAPTCHA.VERIFY", bounded(captcha), bounded(answer), "FORM", this.#request.formName, "FOR", this.#token,
      ...this.#bind())).status === "passed";
  }

  // What the browser says of who made the request; an old one says it by Origin. That is believed where it cannot harm
  // honest forms behind a proxy that changes Host: of a request without a cookie, which the browser may have held back.
  #fetchSite(believesOrigin) {
    const { fetchSite, isForeign } = this.#request;
    return fetchSite || (believesOrigin && isForeign ? "cross-site" : "");
  }

  #bind() {
    return Object.entries(this.#request.bind).flatMap(([signal, value]) => ["BIND", signal, value]);
  }

  #askAbout(command, ...options) {
    return this.#note(this.#client.askAbout(command, this.#token, ...this.#bind(), ...options));
  }

  #ask(...words) {
    return this.#note(this.#client.ask(...words));
  }

  // The cookie rule: whenever sessiontoken is in a reply the visitor gets it, and whenever it is not the cookie stays
  // as it is.
  async #note(answer) {
    try {
      const reply = await answer;
      if (reply.sessiontoken !== undefined) {
        this.#token = reply.sessiontoken;
        this.setCookie = this.#request.cookie.of(reply);
      }
      return reply;
    } catch (error) {
      this.isUnavailable ||= error instanceof Unavailable;
      throw error;
    }
  }

  // Takes over who the visitor is.
  #hold(reply) {
    this.sid = reply.sid;
    this.kind = reply.kind;
    this.user = reply.subject || null;
    this.authTime = reply.auth_time;
    this.#csrf = reply.csrf ?? null;
  }

  // After a LOGIN or ROTATE. What was changed is told first of all: the next form's token may be missing from it.
  async #renew(reply) {
    this.#presented = this.#token;
    this.#hold(reply);
    this.#csrf ??= living(await this.#ask("CSRF.ISSUE", this.#token, ...this.#bind(), "FORM", this.#request.formName)).csrf;
  }

  #end() {
    this.setCookie = this.#request.cookie.removal();
    this.user = this.#csrf = null;
    this.#token = "";
  }

  // Before a command that may give a token: a response that has begun could not take it along.
  #expectToGive() {
    if (this.#request.hasBegun())
      throw new Error("the response has begun and its cookie could not be set: call this before the first byte");
  }
}

function bounded(text) {
  return typeof text === "string" && Buffer.byteLength(text) <= MOST_FIELD ? text : "";
}

// The options of a command that were given.
function options(values) {
  return Object.entries(values).filter(([, value]) => value !== undefined).flat();
}

function limits({ idle, absolute }) {
  return options({ IDLE: idle, ABSOLUTE: absolute });
}

function dataOf(data) {
  // What is not there is an empty text, which removes the field.
  const words = Object.entries(data).flatMap(([field, value]) => [field, value ?? ""]);
  return fieldsOf(words);
}

// What stands behind DATA; none: nothing is said of data.
function fieldsOf(words) {
  return words.length > 0 ? ["DATA", ...words] : [];
}

// A reply that must be about somebody who is there. Nobody goes on with a token that ended meanwhile, or that was never
// more than good for a page.
function living(reply, isGood = ({ accepted }) => accepted === 1) {
  if (!isGood(reply)) throw new NotAccepted(reply.status);
  return reply;
}

module.exports = { Session };
