"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { Parser, ReplyError, encode } = require("../lib/resp.js");

const BYTES = Buffer.from(
  "%2\r\n$6\r\nstatus\r\n$5\r\nvalid\r\n$4\r\ndata\r\n%1\r\n$9\r\n__proto__\r\n$3\r\n\xc3\xa4\n\r\n"
  + "*2\r\n:-7\r\n*0\r\n-UNAVAILABLE no\r\n+OK\r\n_\r\n$0\r\n\r\n:9223372036854775807\r\n%0\r\n", "latin1");
const data = Object.fromEntries([["__proto__", "ä\n"]]);
const REPLIES = [{ status: "valid", data }, [-7, []], new ReplyError("UNAVAILABLE no"), "OK", null, "", 9223372036854775807n, {}];

test("replies are the same however their bytes are cut", () => {
  for (let size = 1; size <= BYTES.length; size += 1) {
    const parser = new Parser();
    const replies = [];
    for (let at = 0; at < BYTES.length; at += size) replies.push(...parser.feed(BYTES.subarray(at, at + size)));
    assert.deepEqual(replies, REPLIES, `in pieces of ${size}`);
  }
});

test("a field called __proto__ is a field", () => {
  const [reply] = new Parser().feed(BYTES);
  assert.deepEqual(Object.keys(reply.data), ["__proto__"]);
});

for (const [text, why] of [
  ["$-1\r\n", /length/], ["$99999999999\r\n", /length/], [":+1\r\n", /integer/], ["$1\r\nab\r\n", /does not end/], ["HTTP/1.1 400\r\n", /unknown kind/],
  ["*1\r\n".repeat(9), /nested/], ["x".repeat(70_000), /a line/], ["%9999999\r\n", /length/],
]) {
  test(`no RESP3: ${JSON.stringify(text.slice(0, 20))}`, () => assert.throws(() => new Parser().feed(Buffer.from(text)), why));
}

test("a command is an array of texts, counted in bytes", () => {
  assert.equal(encode(["TOKEN.SET", "ä", 7]).toString(), "*3\r\n$9\r\nTOKEN.SET\r\n$2\r\nä\r\n$1\r\n7\r\n");
});
