"use strict";

const { createHash, createHmac, randomBytes, randomInt, randomUUID } = require("node:crypto");
const { CommandError } = require("./errors.js");

// How long a token's successor, and a repeated login, get the same answer.
const OVERLAP_S = 120;
const GUEST_S = 24 * 3600;
const GUEST_ABSOLUTE_S = 30 * 86_400;
const IDLE_S = 2 * 3600;
const ABSOLUTE_S = 24 * 3600;
const CSRF_S = 12 * 3600;
const CAPTCHA_S = 600;
const LETTERS = "ACDEFGHJKLMNPQRTUVWXY34679";
const UNIT_S = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, "": 1 };

// How many words follow an option; the fields behind DATA are all the rest.
const OPTIONS = {
  BIND: 2, CHECK: 2, "FETCH-SITE": 1, "FETCH-MODE": 1, POST: 0, CSRF: 1, FORM: 1, FOR: 1, REQUIRE: 0, "login-within": 1,
  subject: 0, IDLE: 1, ABSOLUTE: 1, COOKIE: 1, "AUTH-TIME": 1, MAX: 1, IF: 2, SID: 1, SUBJECT: 1, EXCEPT: 1, LIMIT: 1,
  LENGTH: 1, SOLUTION: 1, LIFETIME: 1,
};

// In the place of a Client, for tests of sites and for machines without the daemon: the same questions and answers, in
// the memory of this process. It has no bindings, and replaces tokens at LOGIN and ROTATE only. Not for a site that
// others use.
class MemoryClient {
  #now;
  #key = randomBytes(32);
  // sid → session or guest
  #holders = new Map();
  // token → { holder, isCurrent, retiredAt, wasForced, memo }
  #tokens = new Map();
  #captchas = new Map();

  // `now` is the clock, in milliseconds: a test passes time by it.
  constructor({ now = Date.now } = {}) {
    this.#now = () => now() / 1000;
  }

  async ask(name, ...words) {
    const command = COMMANDS[name];
    if (command === undefined) throw new CommandError(`ERR MemoryClient has no ${name}`);
    const texts = words.map(String);
    // REVOKE takes a token, or SID and a sid in its place.
    const fixed = texts.splice(0, texts[0] === "SID" ? 0 : command.arity);
    return this[command.method](...fixed, optionsOf(texts));
  }

  askAbout(name, token, ...words) {
    return this.ask(name, token, ...words);
  }

  close() {}

  visit(token, options) {
    const judged = this.#judge(token, { confirms: true });
    let holder = judged.holder;
    let given = judged.successor;
    let visited = token;
    if (holder === null) {
      const mode = options["FETCH-MODE"] ?? "navigate";
      const keeps = mode !== "navigate" || this.#isSuperseded(token)
        || (token === "" && options["FETCH-SITE"] === "cross-site" && ("CHECK" in options || "POST" in options));
      holder = this.#makeGuest(keeps && token !== "" ? this.#digest(token).slice(0, 32) : newSid());
      if (!keeps) visited = given = this.#give(holder);
    }
    const { status, accepted, reason } = judged;
    return {
      status, accepted, ...(reason ? { reason } : {}), ...this.#fields(holder, given),
      ...("CHECK" in options ? { check: this.#check(visited, holder, ...options.CHECK, options["FETCH-SITE"]) } : {}),
      ...("CSRF" in options ? { csrf: this.#csrf(holder, options.CSRF) } : {}),
      ...("DATA" in options ? { data: pick(holder, options.DATA) } : {}) };
  }

  validate(token, options) {
    const judged = this.#judge(token, { confirms: true });
    const { holder, status, accepted, reason, successor } = judged;
    if (holder === null) return { status, accepted, ...(reason ? { reason } : {}) };
    const refusal = { sid: holder.sid, subject: holder.subject, auth_time: holder.authTime };
    if ("subject" in options && holder.subject === "") return { status: "anonymous", accepted: 0, ...refusal };
    if ("login-within" in options && this.#now() - holder.authTime > seconds(options["login-within"]))
      return { status: "reauthenticate", accepted: 0, ...refusal };
    return { status, accepted, ...this.#fields(holder, successor) };
  }

  login(token, subject, options) {
    const memo = this.#tokens.get(token)?.memo;
    if (memo?.subject === subject && this.#now() - memo.at < OVERLAP_S && alive(memo.holder, this.#now())) {
      store(memo.holder, options.DATA);
      return this.#issued(memo.holder, memo.token, options);
    }
    let { holder } = this.#judge(token, {});
    if (holder !== null && holder.subject !== "" && holder.subject !== subject) {
      holder.ended = "login";
      holder = null;
    }
    const former = holder?.sid;
    holder ??= this.#makeGuest(newSid());
    Object.assign(holder, { kind: "session", subject, authTime: Number(options["AUTH-TIME"] ?? this.#whole()) });
    const idle = seconds(options.IDLE ?? IDLE_S);
    const absolute = seconds(options.ABSOLUTE ?? ABSOLUTE_S);
    Object.assign(holder, { idle, end: this.#now() + absolute, modified: this.#now() });
    holder.isPersistent = options.COOKIE ? options.COOKIE === "persistent" : "IDLE" in options || "ABSOLUTE" in options;
    store(holder, options.DATA);
    const fresh = this.#replace(holder, token);
    const entry = this.#tokens.get(token);
    if (entry) entry.memo = { subject, holder, token: fresh, at: this.#now(), former };
    return this.#issued(holder, fresh, options);
  }

  rotate(token, options) {
    const { holder, status, accepted, reason } = this.#judge(token, {});
    if (holder === null) return { status, accepted, ...(reason ? { reason } : {}) };
    holder.kind = "session";
    this.#limit(holder, options);
    const fresh = this.#replace(holder, token);
    return { ...this.#issued(holder, fresh, options), status: "rotated" };
  }

  expire(token, options) {
    const { holder, status, accepted } = this.#judge(token, {});
    if (holder === null) return { status, accepted };
    const promoted = this.#promote(holder, token);
    this.#limit(holder, options);
    return { status, accepted, ...this.#fields(holder, promoted) };
  }

  revoke(...words) {
    const options = words.at(-1);
    if ("SID" in options) {
      const holder = this.#holders.get(options.SID);
      const isThere = holder?.kind === "session" && alive(holder, this.#now());
      if (!isThere || ("SUBJECT" in options && holder.subject !== options.SUBJECT))
        return { status: "unknown", accepted: 0 };
      holder.ended = "logout";
      return { status: "revoked", accepted: 0, reason: "logout" };
    }
    const entry = this.#tokens.get(words[0]);
    if (!entry || entry.holder.kind !== "session") return { status: "unknown", accepted: 0 };
    if (entry.wasForced) return { status: "replayed", accepted: 0 };
    entry.holder.ended ??= "logout";
    return { status: "revoked", accepted: 0, reason: entry.holder.ended };
  }

  revokeAll(subject, options) {
    let spared = null;
    if ("EXCEPT" in options) {
      const judged = this.#judge(options.EXCEPT, {});
      if (judged.holder === null) return { status: judged.status, accepted: 0 };
      if (judged.holder.subject !== subject) return { status: "mismatch", accepted: 0 };
      spared = judged.holder;
    }
    const others = this.#of(subject).filter((holder) => holder !== spared);
    for (const holder of others) holder.ended = "logout-all";
    return { status: "revoked", accepted: 0, count: others.length };
  }

  list(subject, options) {
    return this.#of(subject).reverse().slice(0, Number(options.LIMIT ?? 100)).map((holder) => {
      const { sid, created, modified, auth_time, expires_in, absolute_in, generation } = this.#fields(holder);
      return { sid, created, modified, auth_time, expires_in, absolute_in, generation,
        ...("DATA" in options ? { data: pick(holder, options.DATA) } : {}) };
    });
  }

  get(token, options) {
    const { holder, status, accepted } = this.#judge(token, {});
    if (holder === null) return { status, accepted };
    return { status: "valid", accepted, sid: holder.sid, data: pick(holder, options.DATA ?? []) };
  }

  take(token, options) {
    const reply = this.get(token, options);
    const { holder } = this.#judge(token, {});
    for (const field of options.DATA) holder?.data.delete(field);
    return reply;
  }

  set(token, options) {
    const { holder, status, accepted } = this.#judge(token, {});
    if (holder === null) return { status, accepted };
    const sid = holder.sid;
    const conditions = Object.entries(options.IF ?? {});
    if (conditions.some(([field, value]) => (holder.data.get(field) ?? "") !== value))
      return { status: "conflict", accepted, sid, changed: 0, data: pick(holder, conditions.map(([field]) => field)) };
    const changed = store(holder, options.DATA);
    const promoted = changed > 0 ? this.#promote(holder, token) : undefined;
    if (promoted) this.#limit(holder, options);
    return { status: "valid", accepted, sid, changed, ...given(holder, promoted, this.#now()) };
  }

  increment(token, options) {
    const { holder, status, accepted } = this.#judge(token, {});
    if (holder === null) return { status, accepted };
    const [field, by = "1"] = options.DATA;
    const was = holder.data.get(field) ?? "0";
    if (![was, by].every((text) => /^-?(?:0|[1-9]\d*)$/.test(text)))
      throw new CommandError("ERR the field or what is added is no integer");
    const value = BigInt(was) + BigInt(by);
    if (value !== BigInt.asIntN(64, value)) throw new CommandError("ERR the sum has more than 64 bits");
    if (BigInt(by) !== 0n) holder.data.set(field, String(value));
    const promoted = BigInt(by) !== 0n ? this.#promote(holder, token) : undefined;
    return { status: "valid", accepted, sid: holder.sid, value: Number.isSafeInteger(Number(value)) ? Number(value) : value,
      ...given(holder, promoted, this.#now()) };
  }

  csrfIssue(token, options) {
    const holder = this.#holderOfForms(token);
    if (holder === null) return { status: this.#judge(token, {}).status, accepted: 0 };
    return { status: "issued", accepted: 1, sid: holder.sid, csrf: this.#csrf(holder, options.FORM ?? ""), expires_in: CSRF_S };
  }

  csrfVerify(token, csrf, options) {
    const holder = this.#holderOfForms(token);
    return { status: holder === null ? "failed" : this.#check(token, holder, csrf, options.FORM ?? "", options["FETCH-SITE"]) };
  }

  captchaIssue(options) {
    const holder = "FOR" in options ? this.#holderOfForms(options.FOR) : null;
    if ("FOR" in options && holder === null) return { status: this.#judge(options.FOR, {}).status, accepted: 0 };
    const draw = () => LETTERS[randomInt(LETTERS.length)];
    const solution = options.SOLUTION ?? Array.from({ length: Number(options.LENGTH ?? 5) }, draw).join("");
    const lifetime = seconds(options.LIFETIME ?? CAPTCHA_S);
    const captcha = randomBytes(48).toString("base64url");
    const end = this.#now() + lifetime;
    this.#captchas.set(captcha, { solution, form: options.FORM ?? "", sid: holder?.sid, end, isSpent: false });
    return { status: "issued", captcha, solution, expires_in: Math.floor(lifetime) };
  }

  captchaOpen(captcha) {
    const entry = this.#captchas.get(captcha);
    if (entry === undefined) return { status: "unknown" };
    return entry.end <= this.#now() ? { status: "expired" } : { status: "issued", solution: entry.solution };
  }

  captchaVerify(captcha, answer, options) {
    const entry = this.#captchas.get(captcha);
    if (entry === undefined) return { status: "unknown" };
    if (entry.end <= this.#now()) return { status: "expired" };
    const isOthers = entry.sid && entry.sid !== this.#holderOfForms(options.FOR ?? "")?.sid;
    if (isOthers || entry.form !== (options.FORM ?? "")) return { status: "mismatch" };
    if (entry.isSpent) return { status: "spent" };
    entry.isSpent = true;
    return { status: answer.trim().toLowerCase() === entry.solution.trim().toLowerCase() ? "passed" : "failed" };
  }

  // What a token is worth: { status, accepted, reason, holder, successor }. VISIT and VALIDATE confirm a successor by
  // its use.
  #judge(token, { confirms = false }) {
    const entry = this.#tokens.get(token);
    const refuse = (status, reason) => ({ status, accepted: 0, reason, holder: null });
    if (token === "") return refuse("none");
    if (entry === undefined) return refuse("unknown");
    const { holder } = entry;
    if (holder.ended) return refuse("revoked", holder.ended);
    if (!alive(holder, this.#now())) return refuse(holder.kind === "guest" ? "expired" : "unknown");
    if (entry.isCurrent) {
      if (confirms && !holder.confirmedAt) holder.confirmedAt = this.#now();
      if (confirms) holder.modified = this.#now();
      return { status: "valid", accepted: 1, holder };
    }
    if (entry.wasForced || (holder.confirmedAt && this.#now() - holder.confirmedAt > OVERLAP_S)) return refuse("replayed");
    if (holder.confirmedAt) return { status: "valid", accepted: 1, holder };
    return { status: "rotated", accepted: 1, holder, successor: holder.token };
  }

  // Whether the browser that sent this token has a newer one, or is about to.
  #isSuperseded(token) {
    const { status, reason } = this.#judge(token, {});
    return status === "replayed" || (status === "revoked" && reason === "login");
  }

  #holderOfForms(token) {
    const { holder } = this.#judge(token, {});
    return holder ?? (this.#isSuperseded(token) ? { sid: this.#digest(token).slice(0, 32), salts: [""] } : null);
  }

  #makeGuest(sid) {
    const created = this.#now();
    return {
      sid, kind: "guest", subject: "", generation: 0, created, modified: created, authTime: 0, idle: GUEST_S,
      end: created + GUEST_ABSOLUTE_S, isPersistent: false, data: new Map(), salts: [""], token: null, confirmedAt: 0, ended: null };
  }

  // A token for a guest, as the daemon's: a JWS whose `jti` is the sid; here it is not signed, but kept.
  #give(holder) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    holder.token = `${part({ alg: "none" })}.${part({ jti: holder.sid })}.${randomUUID()}`;
    this.#holders.set(holder.sid, holder);
    this.#tokens.set(holder.token, { holder, isCurrent: true });
    return holder.token;
  }

  // A new token at once; no former one of this holder is good any more, and the forms from before are outdated.
  #replace(holder, token) {
    for (const [other, entry] of this.#tokens) if (entry.holder === holder && other !== token) entry.memo = undefined;
    this.#retire(holder, true);
    holder.salts.unshift(randomUUID());
    holder.confirmedAt = this.#now();
    return holder.token;
  }

  #retire(holder, isForced) {
    for (const entry of this.#tokens.values()) {
      if (entry.holder !== holder) continue;
      entry.isCurrent = false;
      entry.wasForced ||= isForced;
    }
    holder.token = holder.sid + randomBytes(48).toString("hex");
    holder.generation += 1;
    this.#holders.set(holder.sid, holder);
    this.#tokens.set(holder.token, { holder, isCurrent: true });
  }

  // Makes a session of a guest, if it is one; the session's token, until it was used.
  #promote(holder, token) {
    if (holder.kind === "guest") {
      holder.kind = "session";
      holder.confirmedAt = 0;
      this.#retire(holder, false);
    }
    return token !== holder.token && !holder.confirmedAt ? holder.token : undefined;
  }

  #limit(holder, options) {
    if ("IDLE" in options) holder.idle = seconds(options.IDLE);
    if ("ABSOLUTE" in options) holder.end = this.#now() + seconds(options.ABSOLUTE);
    if ("IDLE" in options || "ABSOLUTE" in options) holder.isPersistent = true;
  }

  #issued(holder, token, options) {
    const csrf = "CSRF" in options ? { csrf: this.#csrf(holder, options.CSRF) } : {};
    return { status: "issued", accepted: 1, ...this.#fields(holder, token), ...csrf };
  }

  #fields(holder, token) {
    const left = Math.floor(holder.end - this.#now());
    return {
      kind: holder.kind, sid: holder.sid, subject: holder.subject, generation: holder.generation,
      created: Math.floor(holder.created), modified: Math.floor(holder.modified), auth_time: holder.authTime,
      expires_in: Math.min(Math.floor(holder.idle), left), absolute_in: left,
      ...given(holder, token, this.#now()) };
  }

  #of(subject) {
    return [...this.#holders.values()].filter(
      (holder) => holder.kind === "session" && holder.subject === subject && alive(holder, this.#now()));
  }

  #csrf({ sid, salts }, form) {
    const head = `${Math.floor(this.#now() + CSRF_S)}.${randomBytes(12).toString("base64url")}`;
    return `${head}.${this.#mac(head, sid, salts[0], form)}`;
  }

  #check(token, holder, csrf, form, site) {
    const [expiry, nonce, mac] = csrf.split(".");
    if (site === "cross-site" || mac === undefined) return "failed";
    const isOf = (sid, salt) => this.#mac(`${expiry}.${nonce}`, sid, salt, form) === mac;
    const memo = this.#tokens.get(token)?.memo;
    // Of a token that a LOGIN retired: the holder that it had before, for as long as a repeated LOGIN gets the same answer.
    const isRepeated = memo?.former && this.#now() - memo.at < OVERLAP_S;
    const isFormer = isRepeated && isOf(memo.former, memo.holder.salts[1] ?? "");
    const [current, ...former] = holder.salts;
    if (isFormer || isOf(holder.sid, current)) return Number(expiry) <= this.#now() ? "expired" : "passed";
    return former.some((salt) => isOf(holder.sid, salt)) ? "outdated" : "failed";
  }

  #mac(...parts) {
    return createHmac("sha256", this.#key).update(JSON.stringify(parts)).digest("base64url");
  }

  #digest(text) {
    return createHash("sha256").update(text).digest("hex");
  }

  #whole() {
    return Math.floor(this.#now());
  }
}

// A command's method, and how many of its words have no name.
const COMMANDS = {
  "TOKEN.VISIT": { method: "visit", arity: 1 },
  "TOKEN.VALIDATE": { method: "validate", arity: 1 },
  "TOKEN.LOGIN": { method: "login", arity: 2 },
  "TOKEN.ROTATE": { method: "rotate", arity: 1 },
  "TOKEN.EXPIRE": { method: "expire", arity: 1 },
  "TOKEN.REVOKE": { method: "revoke", arity: 1 },
  "TOKEN.REVOKEALL": { method: "revokeAll", arity: 1 },
  "TOKEN.LIST": { method: "list", arity: 1 },
  "TOKEN.GET": { method: "get", arity: 1 },
  "TOKEN.GETDEL": { method: "take", arity: 1 },
  "TOKEN.SET": { method: "set", arity: 1 },
  "TOKEN.INCR": { method: "increment", arity: 1 },
  "CSRF.ISSUE": { method: "csrfIssue", arity: 1 },
  "CSRF.VERIFY": { method: "csrfVerify", arity: 2 },
  "CAPTCHA.ISSUE": { method: "captchaIssue", arity: 0 },
  "CAPTCHA.OPEN": { method: "captchaOpen", arity: 1 },
  "CAPTCHA.VERIFY": { method: "captchaVerify", arity: 2 },
};

// Options by name: the word behind it, or the words; of IF, which may stand more than once, a map of fields and values.
function optionsOf(words) {
  const options = {};
  for (let i = 0; i < words.length;) {
    const name = words[i++];
    if (name === "DATA") return { ...options, DATA: words.slice(i) };
    const count = OPTIONS[name];
    if (count === undefined) throw new CommandError(`ERR ${name} is no option`);
    const values = words.slice(i, (i += count));
    if (name === "IF") options.IF = { ...options.IF, [values[0]]: values[1] };
    else options[name] = count === 2 ? values : values[0] ?? "";
  }
  return options;
}

function newSid() {
  return randomBytes(16).toString("hex");
}

function alive(holder, now) {
  return !holder.ended && now < holder.end && now < holder.modified + holder.idle;
}

function seconds(duration) {
  const [, number, unit] = /^(\d+)(ms|[smhd]?)$/.exec(String(duration)) ?? [];
  if (number === undefined) throw new CommandError("ERR a duration is a number with ms, s, m, h or d");
  return Number(number) * UNIT_S[unit];
}

function given(holder, token, now) {
  if (!token) return {};
  const age = holder.kind === "session" && holder.isPersistent ? { max_age: Math.floor(holder.end - now) } : {};
  return { sessiontoken: token, ...age };
}

function pick(holder, fields) {
  const all = fields.length === 0 ? [...holder.data.keys()] : fields;
  return Object.fromEntries(all.filter((field) => holder.data.has(field)).map((field) => [field, holder.data.get(field)]));
}

// Stores fields and values, and says how many changed.
function store(holder, words = []) {
  let changed = 0;
  for (let i = 0; i < words.length; i += 2) {
    const [field, value] = [words[i], words[i + 1]];
    if ((holder.data.get(field) ?? "") === value) continue;
    changed += 1;
    if (value === "") holder.data.delete(field);
    else holder.data.set(field, value);
  }
  return changed;
}

module.exports = { MemoryClient };
