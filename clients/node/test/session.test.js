"use strict";
// What a site can do for a visitor, before a daemon and before the stand-in.

const assert = require("node:assert/strict");
const { after, before, describe, test } = require("node:test");
const { Client, CommandError, MemoryClient, NotAccepted, Session } = require("tokencache");
const { Cookie } = require("../lib/cookie.js");
const { resp, startDaemon, startScripted } = require("./support.js");

for (const backend of ["a daemon", "the stand-in"]) {
  describe(backend, () => {
    let daemon;
    let client;
    before(async () => {
      daemon = backend === "a daemon" ? await startDaemon() : null;
      client = daemon ? new Client({ socket: daemon.socket }) : new MemoryClient();
    });
    after(async () => {
      client.close();
      await daemon?.end();
    });

    // One request of a browser that holds `jar.token`, with the form that its last page had; what it is given is in the
    // jar then.
    async function request(jar, use = () => {}, options = {}) {
      const session = await Session.visit(client, {
        token: jar.token, cookie: new Cookie("tc", true), formName: "site", fetchSite: "same-origin", fetchMode: "navigate", isPost: true,
        csrf: jar.csrf ?? null, bind: {}, hasBegun: () => false, ...options });
      try {
        return await use(session);
      } finally {
        const given = /^tc=([^;]*)/.exec(session.setCookie ?? "");
        if (given) jar.token = given[1];
        jar.csrf = session.setCookie?.startsWith("tc=;") ? null : session.csrf;
      }
    }

    async function loggedIn(user, options) {
      const jar = { token: "" };
      await request(jar);
      await request(jar, (session) => session.login(user, options));
      return jar;
    }

    test("a guest is nobody", () => request({ token: "" }, (session) => {
      assert.equal(session.user, null);
      assert.equal(session.kind, "guest");
      assert.equal(session.status, "none");
      assert.match(session.sid, /^[0-9a-f]{32}$/);
    }));

    test("login without a genuine form is refused, unless another proof is said to be there", async () => {
      const jar = { token: "" };
      await request(jar, (session) => assert.rejects(session.login("ann"), /without a genuine form \(none came\)/));
      jar.csrf = "forged";
      await request(jar, (session) => assert.rejects(session.login("ann"), /without a genuine form \(failed\)/));
      await request(jar, async (session) => {
        assert.equal(await session.login("ann", { form: false }), true);
        assert.equal(session.user, "ann");
      });
    });

    for (const user of ["", "x".repeat(257), 7, undefined]) {
      test(`login refuses ${typeof user} ${String(user).slice(0, 3)}`, () =>
        request({ token: "" }, (session) => assert.rejects(session.login(user, { form: false }), /1 to 256 bytes/)));
    }

    test("data is kept by field", async () => {
      const jar = await loggedIn("ann");
      await request(jar, async (session) => {
        assert.deepEqual(await session.set({ a: "1", ä: "ö\r\n", __proto: "x" }), { changed: 3, conflict: null });
        assert.deepEqual(await session.set({ a: "1" }), { changed: 0, conflict: null });
        assert.deepEqual(await session.set({ a: "2" }, { if: { a: "9", b: "" } }), { changed: 0, conflict: { a: "1" } });
        assert.deepEqual(await session.set({ a: "2" }, { if: { a: "1" } }), { changed: 1, conflict: null });
        assert.deepEqual(await session.get("a", "none"), { a: "2" });
        assert.deepEqual(await session.set({ __proto: undefined }), { changed: 1, conflict: null });
        assert.deepEqual(await session.get(), { a: "2", ä: "ö\r\n" });
        assert.equal(await session.increment("n"), 1);
        assert.equal(await session.increment("n", -3), -2);
        await assert.rejects(session.increment("ä"), CommandError);
        const takes = await Promise.all([session.take("a"), session.take("a")]);
        assert.deepEqual(takes.map(({ a }) => a ?? null).sort(), ["2", null]);
      });
    });

    test("fields that each request needs come with its one question", async () => {
      const jar = await loggedIn("ann", { data: { theme: "dark", cart: "pear" } });
      await request(jar, (session) => assert.deepEqual(session.data, {}));
      await request(jar, (session) => assert.deepEqual(session.data, { theme: "dark" }), { fields: ["theme", "absent"] });
    });

    test("the first thing to remember makes a session of a guest, with its sid", async () => {
      const jar = { token: "" };
      const { sid } = await request(jar, (session) => session);
      assert.deepEqual(await request(jar, (session) => session.get()), {});
      await request(jar, async (session) => {
        assert.equal(session.setCookie, null);
        await session.set({ cart: "pear" });
        assert.match(session.setCookie, new RegExp(`^tc=${sid}`));
      });
      await request(jar, async (session) => {
        assert.deepEqual([session.sid, session.kind, session.user], [sid, "session", null]);
        assert.deepEqual(await session.get("cart"), { cart: "pear" });
      });
    });

    test("login keeps the data, rotate the data and the user", async () => {
      const jar = { token: "" };
      await request(jar, (session) => session.set({ cart: "pear" }));
      await request(jar, (session) => session.login("ann", { data: { browser: "Firefox" } }));
      const { token } = jar;
      await request(jar, (session) => session.rotate());
      assert.notEqual(jar.token, token);
      await request(jar, async (session) => {
        assert.equal(session.user, "ann");
        assert.equal(session.form, "passed");
        assert.deepEqual(await session.get(), { cart: "pear", browser: "Firefox" });
      });
      await request({ token }, (session) => assert.deepEqual([session.status, session.superseded, session.user], ["replayed", true, null]));
    });

    test("an ended session is gone on with by nobody", async () => {
      const jar = await loggedIn("bob");
      await request({ ...jar }, async (session) => {
        await request({ ...jar }, (other) => other.logout());
        for (const use of [() => session.set({ a: "1" }), () => session.get(), () => session.increment("n"), () => session.rotate(),
          () => session.logoutElsewhere()])
          await assert.rejects(use(), (error) => error instanceof NotAccepted && error.tokenStatus === "revoked");
      });
    });

    test("logout deletes the cookie of a session, and leaves a guest's", async () => {
      const guest = { token: "" };
      await request(guest);
      await request(guest, async (session) => {
        assert.equal(await session.logout(), false);
        assert.equal(session.setCookie, null);
      });
      const jar = await loggedIn("ann");
      await request(jar, async (session) => {
        assert.equal(await session.logout(), true);
        assert.equal(session.user, null);
        assert.throws(() => session.csrf, /after a logout/);
      });
      assert.equal(jar.token, "");
    });

    test("an old tab's logout leaves the newer cookie alone", async () => {
      const jar = { token: "" };
      await request(jar);
      const { token } = jar;
      await request(jar, (session) => session.login("ann"));
      await request({ token }, async (session) => {
        assert.equal(await session.logout(), false);
        assert.equal(session.setCookie, null);
      });
      await request(jar, (session) => assert.equal(session.user, "ann"));
    });

    test("devices, with what the login said of them", async () => {
      const laptop = await loggedIn("dana", { data: { browser: "Firefox" } });
      const phone = await loggedIn("dana", { data: { browser: "Safari" } });
      await request(laptop, async (session) => {
        const devices = await session.devices("browser");
        assert.deepEqual(
          devices.map(({ current, data }) => [current, data.browser]).sort(([, a], [, b]) => a.localeCompare(b)), [[true, "Firefox"], [false, "Safari"]]);
        assert.equal(await session.endDevice("no sid"), false);
        assert.equal(await session.endDevice(undefined), false);
        assert.equal(await session.logoutElsewhere(), 1);
      });
      await request(phone, (session) => assert.equal(session.user, null));
      await request(laptop, async (session) => {
        assert.equal(session.user, "dana");
        assert.equal(await session.endDevice(session.sid), true);
        assert.match(session.setCookie, /^tc=; Max-Age=0/);
      });
    });

    test("how long ago the password was given", async () => {
      const jar = await loggedIn("ann", { authTime: 1_700_000_000 });
      await request(jar, async (session) => {
        assert.equal(session.authTime, 1_700_000_000);
        assert.equal(await session.isFresh("10m"), false);
        await session.login("ann");
        assert.equal(await session.isFresh("10m"), true);
      });
      await request({ token: "" }, async (session) => assert.equal(await session.isFresh("10m"), false));
    });

    test("limits of a session, and how long its cookie lives", async () => {
      const jar = { token: "" };
      await request(jar);
      await request(jar, async (session) => {
        await session.login("lena", { idle: "30d", absolute: "90d" });
        assert.match(session.setCookie, /; Max-Age=77(?:76000|75999);/);
        await session.rotate({ absolute: "60d" });
        assert.match(session.setCookie, /; Max-Age=51(?:84000|83999);/);
        await session.login("lena", { idle: "30d", absolute: "90d", persistent: false });
        assert.doesNotMatch(session.setCookie, /Max-Age/);
        await assert.rejects(session.login("lena", { idle: "soon" }), CommandError);
        await session.expire({ idle: "1h" });
        const [{ expiresIn }] = await session.devices();
        assert.ok(expiresIn <= 3600 && expiresIn > 3500, `${expiresIn}`);
      });
    });

    test("a form of this visitor's passes; another's, a changed one and another site's do not", async () => {
      const [ann, bob] = [{ token: "" }, { token: "" }];
      await request(ann);
      await request(bob);
      const { csrf } = ann;
      await request(ann, async (session) => {
        assert.equal(session.passed, true);
        assert.equal(session.csrfField(), `<input type="hidden" name="csrf" value="${session.csrf}">`);
        assert.notEqual(session.csrf, csrf);
        assert.equal(await session.check(csrf), true);
        assert.equal(await session.check(bob.csrf), false);
        assert.equal(await session.check("forged"), false);
        assert.equal(await session.check(undefined), false);
        assert.equal(session.form, "failed");
      });
      await request(ann, (session) => assert.equal(session.form, "failed"), { fetchSite: "cross-site" });
    });

    test("the captcha of a form that did not pass is not spent", async () => {
      const jar = { token: "" };
      const captcha = await request(jar, (session) => session.captcha({ solution: "seven" }));
      assert.doesNotMatch(captcha, /seven/);
      const forged = { ...jar, csrf: "forged" };
      await request(forged, async (session) => {
        assert.equal(await session.solved(captcha, "seven"), false);
        assert.equal(await session.captchaSolution(captcha), "seven");
        assert.equal(await session.captchaSolution("none"), null);
      });
      await request(jar, async (session) => {
        assert.equal(await session.solved(captcha, undefined), false, "an answer that is none spends it");
        assert.equal(await session.solved(captcha, "seven"), false);
        const next = await session.captcha();
        assert.equal(await session.solved(next, await session.captchaSolution(next)), true);
      });
    });

    test("a response that has begun can take no cookie along, so nothing is changed", async () => {
      const jar = await loggedIn("ann");
      await request(jar, async (session) => {
        const commands = [
          () => session.login("ann"), () => session.rotate(), () => session.set({ a: "1" }), () => session.increment("n"), () => session.logout(),
          () => session.logoutEverywhere(), () => session.expire({ idle: "1h" }), () => session.isFresh("1h")];
        for (const command of commands) await assert.rejects(command(), /before the first byte/);
        assert.deepEqual(await session.get(), {});
      }, { hasBegun: () => true });
      await request(jar, (session) => assert.equal(session.user, "ann"));
    });

    test("a visitor for this page only can log in", async () => {
      const jar = { token: "" };
      await request(jar);
      const old = jar.token;
      await request(jar, (session) => session.login("ann"));
      const late = { token: old };
      await request(late, (session) => assert.equal(session.superseded, true));
      await request(late, (session) => session.login("bob"));
      await request(late, (session) => assert.equal(session.user, "bob"));
      await request(jar, (session) => assert.equal(session.user, "ann"));
    });
  });
}

test("tokens are bound to the signals that are given", async () => {
  const daemon = await startDaemon("binding.ip=strict");
  const client = new Client({ socket: daemon.socket });
  const visit = (token, csrf, ip) => Session.visit(client, {
    token, cookie: new Cookie("tc", true), formName: "site", fetchSite: "same-origin", fetchMode: "navigate", isPost: true, csrf, bind: { ip },
    hasBegun: () => false });
  try {
    const first = await visit("", null, "192.0.2.7");
    const token = /^tc=([^;]*)/.exec(first.setCookie)[1];
    const session = await visit(token, first.csrf, "192.0.2.7");
    await session.login("ann");
    await session.set({ a: "1" });
    assert.equal(await session.check(session.csrf), true);
    assert.equal(await session.logoutElsewhere(), 0);
    const captcha = await session.captcha();
    assert.equal(await session.solved(captcha, await session.captchaSolution(captcha)), true);
    await session.rotate();
    assert.equal(await session.isFresh("1h"), true);
    const newest = /^tc=([^;]*)/.exec(session.setCookie)[1];
    assert.equal((await visit(newest, null, "198.51.100.7")).status, "mismatch");
    assert.equal((await visit(newest, null, "192.0.2.7")).user, "ann");
  } finally {
    client.close();
    await daemon.end();
  }
});

test("a step-up does not confirm a successor that the browser does not have", async () => {
  const daemon = await startDaemon("rotation.after=1s", "rotation.overlap=500ms");
  const client = new Client({ socket: daemon.socket });
  const visit = (token) => Session.visit(client, {
    token, cookie: new Cookie("tc", true), formName: "site", isPost: false, csrf: null, bind: {}, hasBegun: () => false });
  try {
    const { sessiontoken: token } = await client.ask("TOKEN.LOGIN", "", "ann");
    await new Promise((resolve) => setTimeout(resolve, 1200));
    const session = await visit(token);
    assert.equal(session.status, "rotated");
    assert.equal(await session.isFresh("1h"), true);
    // The answer is lost, and the overlap passes.
    await new Promise((resolve) => setTimeout(resolve, 800));
    assert.equal((await visit(token)).user, "ann");
  } finally {
    client.close();
    await daemon.end();
  }
});

test("a name in a reply that is not accepted is nobody", async () => {
  const daemon = await startScripted((words, connection) => connection.write(resp({ status: "revoked", accepted: 0, sid: "ab".repeat(16), subject: "ann" })));
  const client = new Client({ socket: daemon.socket });
  const session = await Session.visit(client, { token: "", cookie: new Cookie("tc", true), formName: "site", isPost: false, csrf: null, bind: {} });
  assert.equal(session.user, null);
  client.close();
  await daemon.end();
});

test("the stand-in's sessions end with its clock", async () => {
  let now = 1_800_000_000_000;
  const client = new MemoryClient({ now: () => now });
  const { sessiontoken } = await client.ask("TOKEN.LOGIN", "", "ann", "IDLE", "1h");
  now += 59 * 60_000;
  assert.equal((await client.ask("TOKEN.VISIT", sessiontoken)).subject, "ann");
  now += 61 * 60_000;
  assert.equal((await client.ask("TOKEN.VISIT", sessiontoken)).status, "unknown");
});
