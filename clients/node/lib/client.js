"use strict";

const net = require("node:net");
const path = require("node:path");
const { CommandError, Unavailable, errorOf } = require("./errors.js");
const { Parser, ReplyError, encode } = require("./resp.js");
const { sidOf } = require("./tokens.js");

const DEFAULT_SOCKET = "/run/tokencached/tokencached.sock";
// Longer than the daemon's redis.timeout (250ms), so that the daemon's own answer comes first.
const DEFAULT_TIMEOUT_MS = 2000;
// Calls of one process that wait for an answer.
const MOST_WAITING = 10_000;
// Of one argument, and of a command. The daemon's own limits, past which it closes the connection of all: what one
// visitor sent must not cost the others their answers.
const MOST_ARGUMENT_BYTES = 128 * 1024;
const MOST_WORDS = 1024;
// What walks over many sessions and may take long. Replies keep the order of the questions, so on one connection all
// visitors would wait behind it.
const LONG = new Set(["TOKEN.LIST", "TOKEN.COUNT", "TOKEN.SCAN", "TOKEN.REVOKEALL", "TOKEN.REVOKEEVERYONE"]);

// Asks tokencached over its Unix socket. One for a process: the calls of many requests share one connection, those that
// may take long another, and each gets its own reply. Whatever goes wrong with a connection, it is given up: a late
// reply must not answer the next question.
class Client {
  #path;
  #timeoutMs;
  // Each is made when it is first needed.
  #connections = { quick: null, long: null };

  constructor({ socket = DEFAULT_SOCKET, timeoutMs = DEFAULT_TIMEOUT_MS } = {}) {
    // A relative path would depend on the folder that the process was started in.
    if (typeof socket !== "string" || !path.isAbsolute(socket))
      throw new TypeError("socket takes the absolute path of the daemon's Unix socket");
    if (!(Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= 60_000))
      throw new TypeError("timeoutMs takes whole milliseconds from 1 to 60000");
    this.#path = socket;
    this.#timeoutMs = timeoutMs;
  }

  // Sends a command and resolves with its reply: maps as objects, integers as numbers (as bigints beyond 2^53).
  ask(...words) {
    return this.#send(words, () => undefined);
  }

  // As ask, about a token. A reply about an accepted token names its session; otherwise it answers somebody else's
  // question.
  askAbout(command, token, ...words) {
    return this.#send([command, token, ...words], (reply) => wrong(reply, token));
  }

  // Gives up the connections; a later call makes a new one.
  close() {
    for (const connection of Object.values(this.#connections)) connection?.fail("the client was closed");
  }

  async #send(words, fault) {
    if (words.length > MOST_WORDS) throw new CommandError(`ERR a command has at most ${MOST_WORDS} words`);
    if (words.some((word) => Buffer.byteLength(String(word)) > MOST_ARGUMENT_BYTES))
      throw new CommandError(`ERR an argument has at most ${MOST_ARGUMENT_BYTES} bytes`);
    const kind = LONG.has(String(words[0]).toUpperCase()) ? "long" : "quick";
    if (!this.#connections[kind]?.usable) this.#connections[kind] = new Connection(this.#path, this.#timeoutMs);
    return this.#connections[kind].send(words, fault);
  }
}

// What is wrong with a reply about a token, or undefined.
function wrong(reply, token) {
  if (typeof reply?.status !== "string") return "the reply is no answer about a token";
  const sid = sidOf(token);
  if (reply.accepted === 1 && sid !== null && sid !== reply.sid) return "the reply is about another session";
  return undefined;
}

class Connection {
  usable = true;
  #socket;
  #timeoutMs;
  #parser = new Parser();
  // Calls that were sent and not answered, the oldest first.
  #waiting = [];

  constructor(path, timeoutMs) {
    this.#timeoutMs = timeoutMs;
    this.#socket = net.connect({ path });
    this.#socket.on("data", (bytes) => this.#receive(bytes));
    this.#socket.on("error", (error) => this.fail(`the daemon is not reached: ${error.code ?? error.message}`, error));
    this.#socket.on("close", () => this.fail("the daemon closed the connection"));
    this.send(["HELLO", "3"], (reply) => (reply.proto === 3 ? undefined : "this is no tokencached")).catch(() => {});
  }

  send(words, fault) {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= MOST_WAITING) {
        reject(new Unavailable(`${MOST_WAITING} calls wait for an answer already`));
        return;
      }
      const call = { resolve, reject, fault };
      // What came while this process was busy with something else is read first.
      call.timer = setTimeout(() => setImmediate(() => {
        if (this.#waiting.includes(call)) this.fail(`no answer within ${this.#timeoutMs} ms`);
      }), this.#timeoutMs);
      this.#waiting.push(call);
      this.#socket.ref();
      this.#socket.write(encode(words));
    });
  }

  // Ends the connection and every call that waits.
  fail(why, cause) {
    this.usable = false;
    this.#socket.destroy();
    for (const call of this.#waiting.splice(0)) {
      clearTimeout(call.timer);
      call.reject(new Unavailable(why, { cause }));
    }
  }

  #receive(bytes) {
    try {
      for (const reply of this.#parser.feed(bytes)) this.#answer(reply);
    } catch (error) {
      this.fail(`the reply cannot be read: ${error.message}`, error);
      return;
    }
    if (this.#waiting.length > 0) return;
    if (this.usable) this.#socket.unref();
    else this.#socket.destroy();
  }

  #answer(reply) {
    const call = this.#waiting.shift();
    // Of a connection that was given up in the middle of these bytes.
    if (call === undefined) {
      if (this.usable) throw new Error("nothing was asked");
      return;
    }
    clearTimeout(call.timer);
    if (reply instanceof ReplyError) {
      // Calls under way get their answers; the next one takes a new connection.
      this.usable = false;
      call.reject(errorOf(reply.text));
      return;
    }
    const fault = call.fault(reply);
    if (fault === undefined) {
      call.resolve(reply);
      return;
    }
    call.reject(new Unavailable(fault));
    this.fail(fault);
  }
}

module.exports = { Client };
