"use strict";
// The site as listeners of an HTTP server: on plain http, where the form is checked when it has come, and on Express,
// where it was parsed before and is checked by the VISIT itself.

const { site } = require("./site.js");

const MOST_BODY = 16 * 1024 * 1024;

async function formOf(request) {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) if ((body += chunk).length > MOST_BODY) return {};
  return Object.fromEntries(new URLSearchParams(body));
}

function plain(session, options) {
  const routes = site(options);
  return session.handler(async (request, response) => {
    const route = routes[`${request.method === "HEAD" ? "GET" : request.method} ${request.url.split("?")[0]}`];
    if (route === undefined) {
      response.writeHead(404, { "Content-Type": "text/plain" });
      response.end("not found\n");
      return;
    }
    const form = request.method === "POST" ? await formOf(request) : {};
    if (form.csrf !== undefined) await request.session.check(form.csrf);
    await route(request, response, form);
  });
}

function onExpress(session, options) {
  const express = require("express");
  const app = express();
  app.set("env", "production");
  app.use(express.urlencoded({ extended: false, limit: MOST_BODY }), session);
  for (const [route, handle] of Object.entries(site(options))) {
    const [method, path] = route.split(" ");
    app[method.toLowerCase()](path, session.handler((request, response) => handle(request, response, request.body ?? {})));
  }
  return app;
}

module.exports = { onExpress, plain };
