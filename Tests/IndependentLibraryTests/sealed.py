"""Guests and captchas in the hands of libraries that know nothing of tokencached.

    sealed.py read RING PREFIX < tokens.json    reads tokens that tokencached sealed, with every library
    sealed.py make RING PREFIX > tokens.json    makes tokens, good and bad ones, with every library

RING is a key ring file. The keys are derived as documented: HKDF-SHA256 over the ring key, salt: redis.prefix, info:
"tokencached PURPOSE v1", 32 bytes.
"""

import base64
import hashlib
import hmac
import json
import sys
import time

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe as joserfc_jwe
from joserfc import jws as joserfc_jws
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import OctKey
from jwcrypto import jwe as jwcrypto_jwe
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws

GUEST, CAPTCHA = "tc-guest+jwt", "tc-captcha+jwt"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Ring:
    def __init__(self, path, prefix):
        with open(path) as file:
            self.secrets = {key["kid"]: decode(key["key"]) for key in json.load(file)["keys"]}
        self.prefix = prefix.encode()

    def key(self, kid, purpose):
        info = f"tokencached {purpose} v1".encode()
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=self.prefix, info=info).derive(self.secrets[kid])


# Each library: how it writes and reads a guest (claims in and out), how it writes and reads a captcha.


class PyJWT:
    name = "PyJWT"

    def sign(self, key, header, claims):
        return jwt.encode(claims, key, algorithm=header["alg"], headers=header)

    def verify(self, key, token):
        return jwt.decode(token, key, algorithms=["HS256"], options={"require": ["jti", "iat", "exp"]})


class Joserfc:
    name = "joserfc"

    def sign(self, key, header, claims):
        return joserfc_jwt.encode(header, claims, OctKey.import_key(key), algorithms=[header["alg"]])

    def verify(self, key, token):
        return json.loads(joserfc_jws.deserialize_compact(token, OctKey.import_key(key), algorithms=["HS256"]).payload)

    def encrypt(self, key, header, claims):
        algorithms = [header["alg"], header["enc"]] + ([header["zip"]] if "zip" in header else [])
        return joserfc_jwe.encrypt_compact(header, json.dumps(claims), OctKey.import_key(key), algorithms=algorithms)

    def decrypt(self, key, token):
        opened = joserfc_jwe.decrypt_compact(token, OctKey.import_key(key), algorithms=["dir", "A256GCM"])
        return json.loads(opened.plaintext)


class JWCrypto:
    name = "jwcrypto"

    def key(self, key):
        return jwcrypto_jwk.JWK(kty="oct", k=encode(key))

    def sign(self, key, header, claims):
        token = jwcrypto_jws.JWS(json.dumps(claims, ensure_ascii=False, indent=1))
        token.allowed_algs = [header["alg"]]
        token.add_signature(self.key(key), None, json.dumps(header, indent=1))
        return token.serialize(compact=True)

    def verify(self, key, token):
        opened = jwcrypto_jws.JWS()
        opened.allowed_algs = ["HS256"]
        opened.deserialize(token, self.key(key))
        return json.loads(opened.payload)

    def encrypt(self, key, header, claims):
        token = jwcrypto_jwe.JWE(json.dumps(claims, ensure_ascii=False, indent=1), json.dumps(header))
        token.allowed_algs = [header["alg"], header["enc"]]
        token.add_recipient(self.key(key))
        return token.serialize(compact=True)

    def decrypt(self, key, token):
        opened = jwcrypto_jwe.JWE()
        opened.allowed_algs = ["dir", "A256GCM"]
        opened.deserialize(token, self.key(key))
        return json.loads(opened.payload)


SIGNERS = [PyJWT(), Joserfc(), JWCrypto()]
SEALERS = [Joserfc(), JWCrypto()]


def read(ring):
    """Every library finds the expected claims in every token, and nothing in a token with one character changed."""
    count = 0
    for entry in json.load(sys.stdin):
        token, expected = entry["token"], entry["claims"]
        header = json.loads(decode(token.split(".")[0]))
        kind = "guest" if entry["kind"] == "guest" else "captcha"
        wanted = {"alg": "HS256", "typ": GUEST} if kind == "guest" else {"alg": "dir", "enc": "A256GCM", "typ": CAPTCHA}
        assert header == {**wanted, "kid": entry["kid"]}, "header"
        key = ring.key(entry["kid"], kind)
        for library in SIGNERS if kind == "guest" else SEALERS:
            open_token = library.verify if kind == "guest" else library.decrypt
            assert open_token(key, token) == expected, f"{library.name} reads other claims in a {kind}"
            count += 1
            place = count * 37 % (len(token) - 1)
            # The last character of a segment may carry bits that lenient libraries overlook.
            if "." in token[place : place + 2]:
                continue
            changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            try:
                open_token(key, changed)
            except Exception:
                continue
            raise AssertionError(f"{library.name} takes a changed {kind}")
    print(count)


def make(ring):
    entries = []

    def add(kind, library, token, claims, why=None):
        token = token.decode() if isinstance(token, bytes) else token
        # What must be refused says why; what must open says what is in it.
        entries.append({"kind": kind, "library": library, "token": token, "claims": claims, "why": why or ""})

    now = int(time.time())
    kids = list(ring.secrets)

    def guest_claims(number, **more):
        return {"jti": hashlib.sha256(b"guest %d" % number).hexdigest()[:32], "iat": now, "exp": now + 3600,
                "end": now + 86400, "beg": now, **more}

    def captcha_claims(number, **more):
        return {"jti": hashlib.sha256(b"captcha %d" % number).hexdigest()[:32], "iat": now, "exp": now + 600,
                "sol": "K7wXe", **more}

    for number in range(1000):
        kid = kids[number % len(kids)]
        library = SIGNERS[number % len(SIGNERS)]
        header = {"alg": "HS256", "kid": kid, "typ": GUEST}
        claims = guest_claims(number)
        add("guest", library.name, library.sign(ring.key(kid, "guest"), header, claims), claims)
        library = SEALERS[number % len(SEALERS)]
        header = {"alg": "dir", "enc": "A256GCM", "kid": kid, "typ": CAPTCHA}
        extra = [{}, {"frm": "contact"}, {"frm": "ünïcode \"\\\n🍏/", "for": "00112233445566778899aabbccddeeff"}]
        claims = captcha_claims(number, **extra[number % 3])
        add("captcha", library.name, library.encrypt(ring.key(kid, "captcha"), header, claims), claims)

    kid = kids[0]
    key = ring.key(kid, "guest")
    good = {"alg": "HS256", "kid": kid, "typ": GUEST}

    def segments(header, claims):
        return encode(json.dumps(header).encode()) + "." + encode(json.dumps(claims).encode())

    def raw(header, claims, digest=hashlib.sha256):
        signed = segments(header, claims)
        return signed + "." + encode(hmac.new(key, signed.encode(), digest).digest())

    def bad(token, why):
        add("guest", "", token, {}, why)

    claims = guest_claims(0)
    bad(jwt.encode(claims, None, algorithm="none", headers={"kid": kid, "typ": GUEST}), "alg none")
    bad(segments({**good, "alg": "none"}, claims) + ".", "alg none with an empty signature")
    for algorithm, digest in [("HS384", hashlib.sha384), ("HS512", hashlib.sha512)]:
        bad(raw({**good, "alg": algorithm}, claims, digest), f"alg {algorithm}")
        bad(raw({**good, "alg": algorithm}, claims), f"alg {algorithm}, signed with HS256")
    bad(raw({**good, "typ": "JWT"}, claims), "typ JWT")
    bad(raw({"alg": "HS256", "kid": kid}, claims), "no typ")
    bad(raw({"alg": "HS256", "typ": GUEST}, claims), "no kid")
    bad(raw({**good, "kid": "unknown"}, claims), "unknown kid")
    bad(raw({**good, "kid": kids[1]}, claims), "another key's kid")
    for name, value in [("crit", ["exp"]), ("crit", ["b64"]), ("b64", False), ("zip", "DEF"), ("cty", "JWT"),
                        ("jku", "https://example.com/keys"), ("x5u", "https://example.com/cert"),
                        ("jwk", {"kty": "oct", "k": encode(key)}), ("x5c", []), ("nonce", "x")]:
        bad(raw({**good, name: value}, claims), f"header member {name}")
    for name, value in [("sub", "admin"), ("aud", "x"), ("nbf", now), ("iss", "x")]:
        bad(raw(good, {**claims, name: value}), f"claim {name}")
    bad(raw(good, {**claims, "exp": now + 3600.5}), "a fraction in exp")
    bad(raw(good, {**claims, "iat": now + 3600}), "iat in an hour")
    bad(raw(good, {**claims, "jti": "A" * 32}), "jti in upper case")
    bad(PyJWT().sign(ring.key(kid, "captcha"), good, claims), "the key of another purpose")
    bad(PyJWT().sign(ring.secrets[kid], good, claims), "the ring key itself")
    other = HKDF(algorithm=hashes.SHA256(), length=32, salt=b"other:", info=b"tokencached guest v1")
    bad(PyJWT().sign(other.derive(ring.secrets[kid]), good, claims), "the key of another prefix")
    token = jwcrypto_jws.JWS(json.dumps(claims))
    token.add_signature(JWCrypto().key(key), None, json.dumps(good))
    bad(token.serialize(compact=False), "JSON serialization")

    key = ring.key(kid, "captcha")
    good = {"alg": "dir", "enc": "A256GCM", "kid": kid, "typ": CAPTCHA}
    claims = captcha_claims(0)

    def refuse(token, why):
        add("captcha", "", token, {}, why)

    for encryption, count in [("A128GCM", 16), ("A192GCM", 24), ("A128CBC-HS256", 32)]:
        refuse(JWCrypto().encrypt(key[:count], {**good, "enc": encryption}, claims), f"enc {encryption}")
    for algorithm in ["A256KW", "A256GCMKW"]:
        refuse(JWCrypto().encrypt(key, {**good, "alg": algorithm}, claims), f"alg {algorithm}")
    refuse(Joserfc().encrypt(key, {**good, "zip": "DEF"}, claims), "zip")
    refuse(Joserfc().encrypt(key, {**good, "typ": GUEST}, claims), "typ of a guest")
    refuse(Joserfc().encrypt(ring.key(kid, "guest"), good, claims), "the key of another purpose")
    refuse(Joserfc().encrypt(key, good, {**claims, "exp": str(claims["exp"])}), "exp as text")
    refuse(Joserfc().encrypt(key, good, {**claims, "answer": "x"}), "an unknown claim")
    refuse(PyJWT().sign(key, {"alg": "HS256", "kid": kid, "typ": CAPTCHA}, claims), "a JWS of a captcha")
    json.dump(entries, sys.stdout)


if __name__ == "__main__":
    {"read": read, "make": make}[sys.argv[1]](Ring(sys.argv[2], sys.argv[3]))
