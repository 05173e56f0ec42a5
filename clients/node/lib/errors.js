"use strict";

// Nobody knows the answer: the cookie stays as it is, and the visitor is answered 503. `status` and `headers` are what
// Express makes its answer of.
class Unavailable extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = "Unavailable";
    this.status = this.statusCode = 503;
    this.headers = { "Retry-After": "1" };
    this.expose = false;
  }
}

// The visitor's token ended while the request was served, or was only good for this page: nothing was read or written,
// and the browser has a newer one, or is about to. To be tried again; `tokenStatus` is what the daemon calls it.
class NotAccepted extends Error {
  constructor(tokenStatus) {
    super(`the visitor's token is not good any more (${tokenStatus}): to be tried again with the newer one`);
    this.name = "NotAccepted";
    this.tokenStatus = tokenStatus;
    this.status = this.statusCode = 409;
    this.expose = false;
  }
}

// The daemon refuses the call itself (ERR, NOPERM): a fault of the site, or data that is longer than allowed.
class CommandError extends Error {
  constructor(message) {
    super(message);
    this.name = "CommandError";
    this.code = message.split(" ", 1)[0];
  }
}

// What an error reply means to the caller.
function errorOf(text) {
  return /^(?:ERR|NOPERM|NOPROTO)\b/.test(text) ? new CommandError(text) : new Unavailable(text);
}

module.exports = { CommandError, NotAccepted, Unavailable, errorOf };
