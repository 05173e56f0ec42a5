"use strict";

const SESSION_TOKEN = /^[0-9a-f]{128}$/i;
const GUEST_TOKEN = /^[^.]+\.([^.]+)\.[^.]+$/;
const GUEST_SID = /^\{"jti":"([0-9a-f]{32})"/;

// The sid that stands in a token: of a session the first 32 digits, of a guest the claim jti. null where there is none.
function sidOf(token) {
  if (SESSION_TOKEN.test(token)) return token.slice(0, 32).toLowerCase();
  const claims = GUEST_TOKEN.exec(token)?.[1];
  return claims === undefined ? null : (GUEST_SID.exec(Buffer.from(claims, "base64url").toString())?.[1] ?? null);
}

module.exports = { sidOf };
