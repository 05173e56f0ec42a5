"use strict";
// A visitor's life with the site of site/site.js: on plain http and on Express before a daemon, and before the
// stand-in.

const assert = require("node:assert/strict");
const { after, before, describe, test } = require("node:test");
const { Client, MemoryClient, sessions } = require("tokencache");
const { onExpress, plain } = require("../site/listeners.js");
const { Browser, hasExpress, serve, startDaemon } = require("./support.js");

const backends = { "a daemon": () => startDaemon(), "the stand-in": () => ({ end() {} }) };

for (const [how, listener, backend] of [
  ["plain http", plain, "a daemon"], ["plain http", plain, "the stand-in"], ...(hasExpress ? [["Express", onExpress, "a daemon"]] : []),
]) {
  describe(`${how} before ${backend}`, () => {
    let daemon;
    let server;
    let client;
    before(async () => {
      daemon = await backends[backend]();
      client = daemon.socket ? new Client({ socket: daemon.socket }) : new MemoryClient();
      server = await serve(listener(sessions({ client, development: true }), { revealsCaptchas: true }));
    });
    after(async () => {
      client.close();
      await server?.end();
      await daemon?.end();
    });

    async function loggedIn(user, fields = {}) {
      const browser = new Browser(server.port);
      await browser.get("/login");
      assert.equal((await browser.post("/login", { user, ...fields })).status, 303);
      return browser;
    }

    test("a guest, a cart, a login that keeps it, a logout", async () => {
      const browser = new Browser(server.port);
      const first = await browser.get("/");
      assert.match(first.text, /guest/);
      assert.equal(first.cookies.length, 1);
      assert.match(first.cookies[0], /^tc=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/);
      assert.equal(first.headers["cache-control"], "no-store");
      assert.deepEqual((await browser.get("/")).cookies, [], "a cookie that is good stays");
      assert.deepEqual(JSON.parse((await browser.post("/cart", { item: "pear" })).text), ["pear"]);
      await browser.get("/login");
      const login = await browser.post("/login", { user: "ann <a>" });
      assert.equal(login.status, 303);
      assert.doesNotMatch(login.cookies[0], /Max-Age/);
      assert.match((await browser.get("/")).text, /user: ann &lt;a&gt;/);
      assert.deepEqual(JSON.parse((await browser.get("/cart")).text), ["pear"]);
      const logout = await browser.post("/logout");
      assert.match(logout.cookies[0], /^tc=; Max-Age=0; Path=\//);
      assert.match((await browser.get("/")).text, /guest/);
    });

    test("remember me gives the cookie its age", async () => {
      const browser = new Browser(server.port);
      await browser.get("/login");
      assert.match((await browser.post("/login", { user: "ann", remember: "1" })).cookies[0], /; Max-Age=77(?:76000|75999);/);
    });

    test("a forged form carries nothing out and is shown again", async () => {
      const browser = new Browser(server.port);
      await browser.get("/login");
      for (const csrf of ["forged", "", "x".repeat(9000)]) {
        const answer = await browser.send("POST", "/login", { form: { csrf, user: "ann" } });
        assert.equal(answer.status, 200);
        assert.match(answer.text, /value="ann"/);
      }
      const other = new Browser(server.port);
      await other.get("/login");
      assert.equal((await browser.send("POST", "/login", { form: { csrf: other.csrf, user: "ann" } })).status, 200, "another visitor's form");
      assert.equal((await browser.post("/login", { user: "ann" }, { site: "cross-site" })).status, 200, "another site's request");
      assert.match((await browser.get("/")).text, /guest/);
      assert.equal((await browser.send("POST", "/login", { form: { csrf: browser.csrf, user: "x".repeat(300) } })).status, 200, "a name too long");
    });

    test("the second click of a login has the same token", async () => {
      const browser = new Browser(server.port);
      await browser.get("/login");
      const { cookie } = browser;
      const [first, second] = [await browser.post("/login", { user: "bea" }), await browser.post("/login", { user: "bea" }, { cookie })];
      assert.deepEqual([first.status, second.status], [303, 303]);
      assert.equal(second.cookies[0].split(";")[0], first.cookies[0].split(";")[0]);
    });

    test("a login form that does not pass: whoever is logged in goes on, and stays who they are", async () => {
      const browser = await loggedIn("bea");
      for (const user of ["bea", "cleo", ""]) {
        const answer = await browser.send("POST", "/login", { form: { csrf: "forged", user } });
        assert.deepEqual([answer.status, answer.headers.location, answer.cookies], [303, "/", []]);
      }
      assert.equal((await browser.get("/login")).status, 200);
      assert.equal((await browser.post("/login", { user: "x".repeat(300) })).status, 200, "a name too long");
      assert.match((await browser.get("/")).text, /user: bea/);
      assert.equal((await browser.post("/login", { user: "cleo" })).status, 303);
      assert.match((await browser.get("/")).text, /user: cleo/);
    });

    test("a form from before the login is outdated, and passes when it is sent again", async () => {
      const browser = new Browser(server.port);
      await browser.get("/");
      const { csrf } = browser;
      await browser.get("/login");
      await browser.post("/login", { user: "cleo" });
      const again = await browser.post("/cart", { csrf, item: "plum" });
      assert.match(again.text, /value="plum"/);
      assert.deepEqual(JSON.parse((await browser.post("/cart", { item: "plum" })).text), ["plum"]);
    });

    test("a page with a token from before the login is sent to itself once, and leaves the cookie alone", async () => {
      const browser = new Browser(server.port);
      await browser.get("/login");
      const { cookie } = browser;
      await browser.post("/login", { user: "dan" });
      const late = await browser.get("/?q=x", { cookie });
      assert.deepEqual([late.status, late.headers.location, late.cookies], [303, "?q=x&again=1", []]);
      const shown = await browser.get("/?q=x&again=1", { cookie });
      assert.deepEqual([shown.status, shown.cookies, shown.headers["cache-control"]], [200, [], "no-store"]);
      assert.equal((await browser.get("/api/me", { cookie, mode: "cors" })).status, 401);
      assert.deepEqual(JSON.parse((await browser.get("/api/me")).text).user, "dan");
    });

    test("devices: one's own are listed and ended, nobody else's", async () => {
      const [laptop, phone, other] = [await loggedIn("eve"), await loggedIn("eve"), await loggedIn("mallory")];
      const list = JSON.parse((await laptop.get("/devices")).text);
      assert.equal(list.length, 2);
      const { sid } = list.find(({ current }) => !current);
      await other.get("/");
      await other.post("/devices/end", { sid });
      await other.post("/devices/end", { sid: "no sid" });
      assert.equal(JSON.parse((await phone.get("/api/me")).text).user, "eve");
      await laptop.get("/");
      await laptop.post("/devices/end", { sid });
      assert.equal((await phone.get("/api/me")).status, 401);
      assert.equal((await new Browser(server.port).get("/devices")).status, 401);
    });

    test("logout everywhere", async () => {
      const [laptop, phone] = [await loggedIn("finn"), await loggedIn("finn")];
      await laptop.get("/");
      assert.match((await laptop.post("/logout-everywhere")).cookies[0], /^tc=; Max-Age=0/);
      assert.match((await phone.get("/")).text, /guest/);
    });

    test("a counter is for users, of this site's pages, and loses nothing", async () => {
      const browser = await loggedIn("gil");
      const answers = await Promise.all(Array.from({ length: 20 }, () => browser.send("POST", "/api/count", { mode: "cors" })));
      assert.deepEqual(answers.map(({ text }) => JSON.parse(text).count).sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i + 1));
      assert.equal((await browser.send("POST", "/api/count", { mode: "cors", site: "cross-site" })).status, 401);
      assert.equal((await new Browser(server.port).send("POST", "/api/count", { mode: "cors" })).status, 401);
    });

    test("a captcha is good once, for its visitor", async () => {
      const browser = new Browser(server.port);
      const captchaOf = ({ text }) => /name="captcha" value="([^"]*)" data-solution="([^"]*)"/.exec(text).slice(1);
      const [captcha, solution] = captchaOf(await browser.get("/contact"));
      assert.match((await browser.get(`/captcha?of=${captcha}`)).text, new RegExp(`>${solution}<`));
      assert.equal((await browser.send("POST", "/contact", { form: { csrf: "forged", captcha, answer: solution } })).status, 200);
      assert.equal((await browser.post("/contact", { captcha, answer: ` ${solution.toLowerCase()}` })).status, 303, "a forged form has not spent it");
      assert.equal((await browser.post("/contact", { captcha, answer: solution })).status, 200, "spent");
      const [stolen, itsSolution] = captchaOf(await new Browser(server.port).get("/contact"));
      assert.equal((await browser.post("/contact", { captcha: stolen, answer: itsSolution })).status, 200, "another visitor's");
    });

    test("who comes back from a payment page is still logged in", async () => {
      const browser = await loggedIn("hal");
      const { cookie } = browser;
      const back = await browser.send("POST", "/payment/return", { form: { paid: "1" }, cookie: "", site: "cross-site" });
      assert.deepEqual([back.status, back.headers.location, back.cookies], [303, "/", []]);
      assert.match((await browser.get("/", { cookie })).text, /user: hal/);
    });
  });
}
