"use strict";

const { Client } = require("./lib/client.js");
const { CommandError, NotAccepted, Unavailable } = require("./lib/errors.js");
const { MemoryClient } = require("./lib/memory.js");
const { sessions } = require("./lib/middleware.js");
const { Session } = require("./lib/session.js");

module.exports = { Client, CommandError, MemoryClient, NotAccepted, Session, Unavailable, sessions };
