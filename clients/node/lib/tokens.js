"use strict";

const HEX_TOKEN = /^(?:0x)?([0-9a-f]{32})[0-9a-f]{96}$/i;
const BASE64URL_TOKEN = /^[\w-]{86}$/;
const GUEST_TOKEN = /^[^.]+\.([^.]+)\.[^.]+$/;
const GUEST_SID = /^\{"jti":"([0-9a-f]{32})"/;

// The sid that stands in a token: of a session its first 16 bytes, of a guest the claim jti. null where there is none.
function sidOf(token) {
  const digits = HEX_TOKEN.exec(token)?.[1];
  if (digits !== undefined) return digits.toLowerCase();
  if (BASE64URL_TOKEN.test(token)) return Buffer.from(token, "base64url").toString("hex", 0, 16);
  const claims = GUEST_TOKEN.exec(token)?.[1];
  return claims === undefined ? null : (GUEST_SID.exec(Buffer.from(claims, "base64url").toString())?.[1] ?? null);
}

module.exports = { sidOf };
