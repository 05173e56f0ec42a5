"use strict";

// The visitor's cookie. On HTTPS it is called __Host-…, which browsers take from this very host and over HTTPS only.
// For development on http://localhost it has the plain name; that is a setting of the site, never what a request says
// of itself.
class Cookie {
  #attributes;

  constructor(name = "tc", development = false) {
    if (!/^[\w.-]{1,64}$/.test(name))
      throw new TypeError("cookie takes 1 to 64 letters, digits, points, hyphens and underscores");
    this.name = development ? name : `__Host-${name}`;
    this.#attributes = `; Path=/${development ? "" : "; Secure"}; HttpOnly; SameSite=Lax`;
  }

  // The token that a Cookie header brings, or an empty text.
  tokenIn(header = "") {
    for (const pair of header.split(";")) {
      const [name, value] = pair.split(/=(.*)/s, 2);
      // Longer than any token, or a word of the commands: it is nobody's.
      if (name.trim() === this.name) return value !== undefined && value.length <= 4096 ? value.trim().replace(/^sid$/i, "") : "";
    }
    return "";
  }

  // Set-Cookie for a reply that has a sessiontoken.
  of(reply) {
    const age = reply.max_age === undefined ? "" : `; Max-Age=${reply.max_age}`;
    return `${this.name}=${reply.sessiontoken}${age}${this.#attributes}`;
  }

  removal() {
    return `${this.name}=; Max-Age=0${this.#attributes}`;
  }
}

module.exports = { Cookie };
