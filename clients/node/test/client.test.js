"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { Client, CommandError, Unavailable } = require("tokencache");
const { resp, startScripted } = require("./support.js");

const SID = "ab".repeat(16);
const TOKEN = SID + "0".repeat(96);

// Runs `use` with a client of a scripted daemon.
async function scripted(answer, use, options = {}) {
  const daemon = await startScripted(answer);
  const client = new Client({ socket: daemon.socket, ...options });
  try {
    await use(client, daemon);
  } finally {
    client.close();
    await daemon.end();
  }
}

test("calls share one connection and each gets its own reply", () =>
  scripted(([, word], connection) => connection.write(resp(word)), async (client, daemon) => {
    const words = Array.from({ length: 200 }, (_, i) => `w${i}`);
    assert.deepEqual(await Promise.all(words.map((word) => client.ask("ECHO", word))), words);
    assert.equal(daemon.connections(), 1);
  }));

test("a late reply does not answer the next question", () => {
  // As the daemon does: the replies of a connection keep the order of its questions.
  const before = new WeakMap();
  return scripted(([, word], connection) => {
    const late = word === "first" ? new Promise((resolve) => setTimeout(resolve, 800)) : Promise.resolve();
    before.set(connection, Promise.all([before.get(connection), late]).then(() => connection.destroyed || connection.write(resp(word))));
  }, async (client, daemon) => {
    await assert.rejects(client.ask("ECHO", "first"), Unavailable);
    assert.equal(await client.ask("ECHO", "second"), "second");
    await new Promise((resolve) => setTimeout(resolve, 900));
    assert.equal(await client.ask("ECHO", "third"), "third");
    assert.equal(daemon.connections(), 2);
  }, { timeoutMs: 500 });
});

test("what takes long holds up no visitor", () => {
  let release;
  const isReleased = new Promise((resolve) => (release = resolve));
  // Replies keep the order of a connection's questions.
  const before = new WeakMap();
  return scripted(([command, word], connection) => {
    const isLong = /^TOKEN.(?:LIST|COUNT|SCAN|REVOKEALL|REVOKEEVERYONE)$/i.test(command);
    before.set(connection, Promise.all([before.get(connection), isLong && isReleased]).then(() => connection.write(resp(word ?? "done"))));
  }, async (client, daemon) => {
    assert.equal(await client.ask("ECHO", "first"), "first");
    assert.equal(daemon.connections(), 1, "the other is made when it is needed");
    const long = ["TOKEN.LIST", "TOKEN.COUNT", "TOKEN.SCAN", "TOKEN.REVOKEALL", "token.revokeeveryone"].map((command) => client.ask(command, command));
    assert.equal(await client.ask("ECHO", "second"), "second");
    release();
    assert.deepEqual(await Promise.all(long), ["TOKEN.LIST", "TOKEN.COUNT", "TOKEN.SCAN", "TOKEN.REVOKEALL", "token.revokeeveryone"]);
    assert.equal(daemon.connections(), 2);
  });
});

test("a list that is given up takes no visitor along", () =>
  scripted(([command, word], connection) => command === "ECHO" && connection.write(resp(word)), async (client) => {
    const list = client.ask("TOKEN.LIST", "ann");
    assert.equal(await client.ask("ECHO", "before"), "before");
    await assert.rejects(list, /no answer within/);
    assert.equal(await client.ask("ECHO", "after"), "after");
  }, { timeoutMs: 1000 }));

test("close ends both connections", () =>
  scripted(() => {}, async (client) => {
    const calls = [client.ask("ECHO", "a"), client.ask("TOKEN.LIST", "ann")];
    client.close();
    for (const call of calls) await assert.rejects(call, /the client was closed/);
  }));

test("a time-out takes the calls behind it along", () =>
  scripted(() => {}, async (client) => {
    const results = await Promise.allSettled([client.ask("ECHO", "a"), client.ask("ECHO", "b")]);
    assert.deepEqual(results.map(({ reason }) => reason instanceof Unavailable), [true, true]);
  }, { timeoutMs: 50 }));

test("after an error reply the next call has a new connection, and those under way keep theirs", () =>
  scripted(([, word], connection) => connection.write(word === "bad" ? "-UNAVAILABLE Redis is out of reach\r\n" : resp(word)), async (client, daemon) => {
    const bad = client.ask("ECHO", "bad");
    const behind = client.ask("ECHO", "behind");
    await assert.rejects(bad, (error) => error instanceof Unavailable && error.status === 503 && /Redis is out of reach/.test(error.message));
    assert.equal(await behind, "behind");
    assert.equal(await client.ask("ECHO", "next"), "next");
    assert.equal(daemon.connections(), 2);
  }));

test("a reply about another session is nobody's, and the connection is closed", () => {
  const sids = ["cd".repeat(16), SID];
  return scripted((_, connection) => connection.write(resp({ status: "valid", accepted: 1, sid: sids.shift() })), async (client, daemon) => {
    await assert.rejects(client.askAbout("TOKEN.VALIDATE", TOKEN), /another session/);
    assert.equal((await client.askAbout("TOKEN.VALIDATE", TOKEN)).sid, SID);
    assert.equal(daemon.connections(), 2);
  });
});

for (const [how, written] of [["in capitals", TOKEN.toUpperCase()], ["with 0x", `0x${TOKEN}`], ["with 0X", `0X${TOKEN}`],
  ["in base64url", Buffer.from(TOKEN, "hex").toString("base64url")]]) {
  test(`the sid of a token ${how}`, () => {
    const sids = ["cd".repeat(16), SID];
    return scripted((_, connection) => connection.write(resp({ status: "valid", accepted: 1, sid: sids.shift() })), async (client) => {
      await assert.rejects(client.askAbout("TOKEN.VALIDATE", written), /another session/);
      assert.equal((await client.askAbout("TOKEN.VALIDATE", written)).sid, SID);
    });
  });
}

test("the sid of a guest stands in its claims", () => {
  const guest = `e30.${Buffer.from(`{"jti":"${SID}","iat":1}`).toString("base64url")}.c2ln`;
  return scripted((_, connection) => connection.write(resp({ status: "valid", accepted: 1, sid: "cd".repeat(16) })), (client) =>
    assert.rejects(client.askAbout("TOKEN.VISIT", guest), /another session/));
});

test("an answer that is no reply about a token is none", () =>
  scripted((_, connection) => connection.write("+OK\r\n"), (client) => assert.rejects(client.askAbout("TOKEN.VISIT", ""), /no answer about a token/)));

test("bytes that are no RESP3 end the connection", () =>
  scripted((_, connection) => connection.write("HTTP/1.1 400 Bad Request\r\n"), (client) => assert.rejects(client.ask("PING"), /cannot be read/)));

test("a daemon that hangs up is Unavailable, and the next call connects again", () => {
  let asked = 0;
  return scripted((words, connection) => ((asked += 1) === 1 ? connection.destroy() : connection.write(resp("PONG"))), async (client) => {
    await assert.rejects(client.ask("PING"), Unavailable);
    assert.equal(await client.ask("PING"), "PONG");
  });
});

test("nobody at the socket is Unavailable", () =>
  assert.rejects(new Client({ socket: "/nonexistent/d.sock" }).ask("PING"), (error) => error instanceof Unavailable && /ENOENT/.test(error.message)));

test("ERR is a fault of the call", () =>
  scripted((_, connection) => connection.write("-ERR unknown command\r\n"), (client) =>
    assert.rejects(client.ask("NONSENSE"), (error) => error instanceof CommandError && error.code === "ERR")));

test("an argument that the daemon would hang up on is not sent", () =>
  scripted(([, word], connection) => connection.write(resp(word)), async (client, daemon) => {
    const honest = client.ask("ECHO", "honest");
    await assert.rejects(client.ask("ECHO", "x".repeat(200_000)), CommandError);
    assert.equal(await honest, "honest");
    assert.equal(daemon.connections(), 1);
  }));

for (const options of [{ socket: "d.sock" }, { socket: "" }, { timeoutMs: 0 }, { timeoutMs: 1.5 }, { timeoutMs: "2s" }]) {
  test(`refused: ${JSON.stringify(options)}`, () => assert.throws(() => new Client(options), TypeError));
}
