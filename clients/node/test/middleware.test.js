"use strict";
// What the middleware does to responses, and what happens when nobody knows.

const assert = require("node:assert/strict");
const { describe, test } = require("node:test");
const { MemoryClient, Unavailable, sessions } = require("tokencache");
const { Browser, resp, serve, startDaemon, startScripted } = require("./support.js");

let express = null;
try {
  express = require("express");
} catch {
  // As in visitor.test.js.
}

// One request to a site of one page.
async function ask(session, page, use, { wrap = session?.handler } = {}) {
  const server = await serve(wrap(page));
  try {
    return await use(new Browser(server.port));
  } finally {
    await server.end();
  }
}

const ours = /^tc=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/;

describe("the cookie", () => {
  const heads = {
    "of a plain answer": (response) => response.end("x"),
    "beside cookies of the site": (response) => response.setHeader("Set-Cookie", ["a=1", "b=2"]).end("x"),
    "beside one in writeHead": (response) => response.writeHead(200, { "set-cookie": "a=1", "Cache-Control": "public" }).end("x"),
    "beside a list in writeHead": (response) => response.writeHead(200, "Fine", ["Set-Cookie", "a=1", "Set-Cookie", "b=2"]).end("x"),
    "beside a cookie that somebody else called the same": (response) => response.setHeader("Set-Cookie", "tc=old; Path=/").end("x"),
    "of a stream": (response) => {
      response.write("x");
      response.end("y");
    },
  };
  for (const [what, answer] of Object.entries(heads)) {
    test(`${what} is set once, with no-store`, () =>
      ask(sessions({ client: new MemoryClient(), development: true }), (request, response) => answer(response), async (browser) => {
        const { cookies, headers } = await browser.get("/");
        assert.equal(cookies.filter((line) => ours.test(line)).length, 1);
        assert.equal(cookies.filter((line) => line.startsWith("tc=")).length, 1);
        assert.equal(cookies.filter((line) => /^[ab]=/.test(line)).length, /^(beside (cookies|a list))/.test(what) ? 2 : /writeHead$/.test(what) ? 1 : 0);
        assert.equal(headers["cache-control"], "no-store");
      }));
  }

  test("is the last of several, and for HTTPS unless it is development", () =>
    ask(sessions({ client: new MemoryClient() }), async (request, response) => {
      await request.session.login("ann", { form: false, idle: "1d", absolute: "1d" });
      await request.session.rotate();
      response.end(request.session.user);
    }, async (browser) => {
      const { cookies } = await browser.get("/");
      assert.equal(cookies.length, 1);
      assert.match(cookies[0], /^__Host-tc=[0-9a-f]{128}; Max-Age=8(?:6400|6399); Path=\/; Secure; HttpOnly; SameSite=Lax$/);
      assert.match((await browser.get("/")).text, /ann/);
    }));

  test("a page without cookie and form may be cached, one with a form may not", () =>
    ask(sessions({ client: new MemoryClient(), development: true }), ({ session, url }, response) => {
      response.setHeader("Cache-Control", "public, max-age=60");
      response.end(url === "/form" ? session.csrfField() : "x");
    }, async (browser) => {
      assert.equal((await browser.get("/")).headers["cache-control"], "no-store");
      assert.equal((await browser.get("/")).headers["cache-control"], "public, max-age=60");
      assert.equal((await browser.get("/form")).headers["cache-control"], "no-store");
    }));

  test("development is refused where others use the site", () =>
    ask(sessions({ client: new MemoryClient(), development: true }), (request, response) => response.end("x"), async (browser) => {
      for (const Host of ["www.example.org", "localhost.example.org", "10.0.0.1"]) assert.equal((await browser.get("/", { headers: { Host } })).status, 500);
      for (const Host of ["localhost", "localhost:8000", "127.0.0.1", "[::1]:80"]) assert.equal((await browser.get("/", { headers: { Host } })).status, 200);
    }));

  test("one that is longer than any token is nobody's", () =>
    ask(sessions({ client: new MemoryClient(), development: true }), ({ session }, response) => response.end(session.status), async (browser) =>
      assert.equal((await browser.get("/", { cookie: `tc=${"x".repeat(5000)}` })).text, "none")));
});

test("a script sends its form's token as a header", () =>
  ask(sessions({ client: new MemoryClient(), development: true }), ({ session }, response) => response.end(session.form ?? session.csrfField()), async (browser) => {
    await browser.get("/");
    assert.equal((await browser.send("POST", "/", { headers: { "X-CSRF-Token": browser.csrf } })).text, "passed");
    assert.equal((await browser.send("POST", "/", { headers: { "X-CSRF-Token": "x" } })).text, "failed");
  }));

test("an old browser's post from another site, whose cookie was held back, is given none that would go over it", () =>
  ask(sessions({ client: new MemoryClient(), development: true }), ({ session }, response) => response.end(`${session.isOwn}`), async (browser) => {
    const post = async (headers, site = "") => {
      const { text, cookies } = await browser.send("POST", "/", { cookie: "", site, mode: "", headers });
      return [text, cookies.length];
    };
    assert.deepEqual(await post({ Origin: "https://pay.example" }), ["false", 0]);
    assert.deepEqual(await post({ Origin: "null" }), ["false", 0]);
    assert.deepEqual(await post({ Origin: `http://127.0.0.1:${browser.port}` }), ["true", 1]);
    assert.deepEqual(await post({}), ["true", 1]);
    assert.deepEqual(await post({ Origin: "https://pay.example" }, "same-origin"), ["true", 1], "Sec-Fetch-Site knows better");
    await browser.get("/");
    assert.equal((await browser.send("POST", "/", { site: "", mode: "", headers: { Origin: "https://pay.example" } })).text, "false");
  }));

test("fields come along", () => {
  const app = async ({ session }, response) => {
    if (session.data.theme === undefined) await session.set({ theme: "dark" });
    response.end(JSON.stringify(session.data));
  };
  return ask(sessions({ client: new MemoryClient(), development: true, data: ["theme"] }), app, async (browser) => {
    assert.equal((await browser.get("/")).text, "{}");
    assert.equal((await browser.get("/")).text, '{"theme":"dark"}');
  });
});

test("signals go along with every command", () => {
  const asked = [];
  const memory = new MemoryClient();
  const client = {
    ask: (...words) => (asked.push(words), memory.ask(...words)),
    askAbout: (...words) => (asked.push(words), memory.askAbout(...words)),
  };
  const bind = (request) => ({ ip: "192.0.2.7", ua: request.headers["user-agent"] });
  return ask(sessions({ client, development: true, bind }), async ({ session }, response) => {
    await session.check("x");
    await session.login("ann", { form: false });
    await session.set({ a: "1" });
    response.end("x");
  }, async (browser) => {
    await browser.get("/", { headers: { "User-Agent": "x".repeat(9000) } });
    assert.equal(asked.length, 4);
    for (const words of asked) assert.match(words.join(" "), / BIND ip 192\.0\.2\.7 BIND ua x{4096} /);
  });
});

test("a browser's name is cut at the daemon's limit, in whole characters, and may be missing", async () => {
  const daemon = await startDaemon("binding.ua=strict");
  const names = { "bytes as Node hands them on": "\xe4".repeat(4000), "between two characters": `x${"\u20ac".repeat(2000)}`, "half of a pair": "\u{1f600}".repeat(2000),
    "no name": undefined };
  try {
    for (const [what, ua] of Object.entries(names)) {
      const session = sessions({ socket: daemon.socket, development: true, bind: () => ({ ua }) });
      await ask(session, async ({ session }, response) => {
        await session.login("ann", { form: false });
        response.end(session.user);
      }, async (browser) => assert.equal((await browser.get("/")).text, "ann", what));
      session.client.close();
    }
  } finally {
    await daemon.end();
  }
});

test("a session that ends while it is asked: a page comes again once, the rest is 409", async () => {
  const client = new MemoryClient();
  const page = async ({ session }, response) => {
    await client.ask("TOKEN.REVOKE", "SID", session.sid);
    response.end(Object.keys(await session.get()).join());
  };
  for (const wrap of [(page) => sessions({ client, development: true }).handler(page), ...(express ? [(page) => {
    const session = sessions({ client, development: true });
    return express().set("env", "test").use(session).get("/", session.handler(page));
  }] : [])]) {
    await ask(null, page, async (browser) => {
      const answer = async (...options) => {
        browser.cookie = `tc=${(await client.ask("TOKEN.LOGIN", "", "ann")).sessiontoken}`;
        const { status, headers, cookies } = await browser.get(...options);
        return [status, headers.location, cookies];
      };
      assert.deepEqual(await answer("/?q=1"), [303, "?q=1&again=1", []]);
      assert.deepEqual(await answer("/?again=1"), [409, undefined, []]);
      assert.deepEqual(await answer("/", { mode: "cors" }), [409, undefined, []]);
    }, { wrap });
  }
});

test("an error of the site is 500, and its visitor keeps the cookie that was given", () =>
  ask(sessions({ client: new MemoryClient(), development: true }), () => { throw new Error("a fault of the test"); }, async (browser) => {
    const { status, cookies, text } = await browser.get("/");
    assert.equal(status, 500);
    assert.match(cookies[0], ours);
    assert.doesNotMatch(text, /fault/);
  }));

describe("nobody knows", () => {
  const visit = { status: "rotated", accepted: 1, kind: "session", sid: "ab".repeat(16), subject: "ann", generation: 2, created: 1, modified: 1,
    auth_time: 1, expires_in: 9, absolute_in: 9, sessiontoken: "ab".repeat(16) + "1".repeat(96), max_age: 9, csrf: "c" };
  const old = `tc=${"ab".repeat(16)}${"0".repeat(96)}`;

  const applications = {
    "plain http": (session, page) => session.handler(page),
    ...(express && {
      Express: (session, page) => express().set("env", "test").use(session).get("/", session.handler(page)),
      "Express with an error page": (session, page) => express().set("env", "test").use(session).get("/", session.handler(page))
        .use((error, request, response, next) => response.status(error.status).send("a page of the site's")),
    }),
  };
  for (const [name, application] of Object.entries(applications)) {
    test(`${name}: the 503 leaves the cookie alone`, async () => {
      const session = sessions({ socket: "/nonexistent/d.sock", development: true });
      await ask(session, () => assert.fail("the site was asked"), async (browser) => {
        const { status, headers, cookies } = await browser.get("/", { cookie: old });
        assert.deepEqual([status, cookies, headers["retry-after"], headers["cache-control"]], [503, [], "1", "no-store"]);
      }, { wrap: (page) => application(session, page) });
    });

    test(`${name}: the 503 carries a token that was given before`, async () => {
      const daemon = await startScripted(([command], connection) =>
        connection.write(command === "TOKEN.VISIT" ? resp(visit) : "-UNAVAILABLE Redis did not answer in time\r\n"));
      try {
        const session = sessions({ socket: daemon.socket, development: true });
        await ask(session, ({ session }) => session.set({ a: "1" }), async (browser) => {
          const { status, headers, cookies } = await browser.get("/", { cookie: old });
          assert.deepEqual([status, headers["retry-after"], headers["cache-control"]], [503, "1", "no-store"]);
          assert.deepEqual(cookies, [`tc=${visit.sessiontoken}; Max-Age=9; Path=/; HttpOnly; SameSite=Lax`]);
        }, { wrap: (page) => application(session, page) });
        session.client.close();
      } finally {
        await daemon.end();
      }
    });
  }

  test("a daemon that is restarted logs nobody out", async () => {
    const daemon = await startDaemon();
    const session = sessions({ socket: daemon.socket, development: true });
    try {
      await ask(session, async ({ session, url }, response) => {
        if (url === "/login") await session.login("ann", { form: false });
        response.end(session.user ?? "guest");
      }, async (browser) => {
        await browser.get("/login");
        const { cookie } = browser;
        await daemon.stop();
        assert.equal((await browser.get("/")).status, 503);
        assert.equal(browser.cookie, cookie);
        await daemon.start();
        assert.equal((await browser.get("/")).text, "ann");
      });
    } finally {
      session.client.close();
      await daemon.end();
    }
  });
});

describe("packaging", () => {
  test("modules import the same things that require gives", async () => {
    const { default: _, ...imported } = await import("tokencache");
    assert.deepEqual({ ...imported }, { ...require("tokencache") });
  });

  test("Unavailable is what Express makes a 503 of", () => {
    const error = new Unavailable("why");
    assert.deepEqual([error.status, error.headers, error instanceof Error], [503, { "Retry-After": "1" }, true]);
  });
});
