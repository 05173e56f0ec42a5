import Testing
import TokenCrypto

@testable import Tokens

/// RFC 8725 and more: what is refused although signature or tag are good. One test a line of the list of
/// refusals; each begins with what is accepted, so that a refusal is for the one thing that was changed.
@Suite("Authentic tokens that are refused")
struct RejectTests {
    let forge: Forge

    init() throws { forge = Forge(try Site(keys: [2, 1])) }

    @Test("what the forge makes is good until something is changed")
    func forgedIsGood() throws {
        #expect(try forge.opensGuest())
        #expect(try forge.opensCaptcha())
    }

    @Test(
        "another alg, none above all, is refused",
        arguments: ["none", "None", "NONE", "", "HS384", "HS512", "hs256", "RS256", "ES256", "PS256", "EdDSA", "dir"])
    func anotherAlg(algorithm: String) throws {
        let header = Forge.header.replacing("HS256", by: algorithm)
        #expect(try !forge.opensGuest(header))
        // Without a signature, as `none` has it.
        let bare = forge.segment(header) + ".".utf8 + forge.segment(Forge.claims)
        #expect(forge.site.openGuest(bare + ".".utf8) == .unknown)
        #expect(forge.site.openGuest(bare) == .unknown)
    }

    @Test(
        "another alg of a JWE is refused",
        arguments: ["A128KW", "A256GCMKW", "RSA-OAEP", "PBES2-HS256+A128KW", "DIR", "none", ""])
    func anotherAlgOfJWE(algorithm: String) throws {
        #expect(try !forge.opensCaptcha(Forge.captchaHeader.replacing("\"dir\"", by: "\"\(algorithm)\"")))
    }

    @Test("another enc is refused", arguments: ["A128GCM", "A192GCM", "A128CBC-HS256", "A256CBC-HS512", "a256gcm", ""])
    func anotherEnc(encryption: String) throws {
        #expect(try !forge.opensCaptcha(Forge.captchaHeader.replacing("A256GCM", by: encryption)))
    }

    @Test(
        "crit, zip, jku, x5u, jwk and every other header member are refused",
        arguments: [
            "\"crit\":[\"exp\"]", "\"crit\":[]", "\"crit\":\"exp\"", "\"zip\":\"DEF\"",
            "\"jku\":\"https://example.com/k\"",
            "\"x5u\":\"https://example.com/c\"", "\"x5c\":[\"\"]", "\"x5t\":\"AA\"",
            "\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}",
            "\"cty\":\"JWT\"", "\"b64\":false", "\"p2c\":1", "\"epk\":{}", "\"iv\":\"AA\"", "\"anything\":\"\"",
        ])
    func otherHeaderMembers(member: String) throws {
        #expect(try !forge.opensGuest(Forge.header.adding(member)))
        #expect(try !forge.opensCaptcha(Forge.captchaHeader.adding(member)))
    }

    @Test(
        "an unknown kid is refused, never tried with another key",
        arguments: ["k3", "", "K1", "k1 ", "k", "k11", "../k1", "\\u0000k1"])
    func unknownKid(kid: String) throws {
        #expect(try !forge.opensGuest(Forge.header.replacing("k1", by: kid)))
        #expect(try !forge.opensCaptcha(Forge.captchaHeader.replacing("k1", by: kid)))
    }

    @Test("the kid of another key of the ring is refused")
    func kidOfAnotherKey() throws {
        #expect(try !forge.opensGuest(Forge.header.replacing("k1", by: "k2")))
        #expect(try !forge.opensCaptcha(Forge.captchaHeader.replacing("k1", by: "k2")))
    }

    @Test(
        "a missing header member is refused",
        arguments: ["\"kid\":\"k1\",", "\"alg\":\"HS256\",", ",\"typ\":\"tc-guest+jwt\""])
    func missingHeaderMember(member: String) throws {
        #expect(try !forge.opensGuest(Forge.header.replacing(member, by: "")))
    }

    @Test(
        "a missing header member of a JWE is refused",
        arguments: ["\"kid\":\"k1\",", "\"alg\":\"dir\",", "\"enc\":\"A256GCM\",", ",\"typ\":\"tc-captcha+jwt\""])
    func missingHeaderMemberOfJWE(member: String) throws {
        #expect(try !forge.opensCaptcha(Forge.captchaHeader.replacing(member, by: "")))
    }

    @Test(
        "a wrong typ is refused",
        arguments: ["JWT", "jwt", "", "tc-captcha+jwt", "TC-GUEST+JWT", "application/tc-guest+jwt"])
    func wrongTyp(type: String) throws {
        #expect(try !forge.opensGuest(Forge.header.replacing("tc-guest+jwt", by: type)))
    }

    @Test("a wrong typ of a JWE is refused", arguments: ["JWT", "", "tc-guest+jwt", "JOSE"])
    func wrongTypOfJWE(type: String) throws {
        #expect(try !forge.opensCaptcha(Forge.captchaHeader.replacing("tc-captcha+jwt", by: type)))
    }

    @Test("a header member that comes twice is refused")
    func headerMemberTwice() throws {
        for member in ["\"alg\":\"HS256\"", "\"kid\":\"k1\"", "\"typ\":\"tc-guest+jwt\"", "\"\\u0061lg\":\"HS256\""] {
            #expect(try !forge.opensGuest(Forge.header.adding(member)))
        }
        for member in ["\"alg\":\"dir\"", "\"enc\":\"A256GCM\"", "\"kid\":\"k1\"", "\"typ\":\"tc-captcha+jwt\""] {
            #expect(try !forge.opensCaptcha(Forge.captchaHeader.adding(member)))
        }
    }

    @Test("enc in a JWS is refused", arguments: ["\"enc\":\"A256GCM\"", "\"enc\":\"\""])
    func encInJWS(member: String) throws {
        #expect(try !forge.opensGuest(Forge.header.adding(member)))
    }

    @Test("JSON serialization is refused")
    func jsonSerialization() throws {
        let parts = try forge.guest().split(separator: UInt8(ascii: ".")).map { String(decoding: $0, as: UTF8.self) }
        let flattened = "{\"protected\":\"\(parts[0])\",\"payload\":\"\(parts[1])\",\"signature\":\"\(parts[2])\"}"
        let general =
            "{\"payload\":\"\(parts[1])\",\"signatures\":[{\"protected\":\"\(parts[0])\",\"signature\":\"\(parts[2])\"}]}"
        for text in [flattened, general, "[\(flattened)]"] {
            #expect(forge.site.openGuest(Array(text.utf8)) == .unknown)
            #expect(forge.site.openCaptcha(Array(text.utf8)) == .unknown)
        }
    }

    @Test("a wrong number of segments is refused")
    func wrongNumberOfSegments() throws {
        let guest = try forge.guest()
        let captcha = try forge.captcha()
        for text in [guest + ".".utf8, ".".utf8 + guest, guest + ".AA".utf8, guest + ".".utf8 + guest] {
            #expect(forge.site.openGuest(text) == .unknown)
        }
        for text in [captcha + ".".utf8, ".".utf8 + captcha, captcha + ".AA".utf8] {
            #expect(forge.site.openCaptcha(text) == .unknown)
        }
    }

    @Test("a JWE with an encrypted key, which dir has not, is refused")
    func jweWithEncryptedKey() throws {
        #expect(forge.site.openCaptcha(try forge.captcha(encryptedKey: "")).value != nil)
        #expect(forge.site.openCaptcha(try forge.captcha(encryptedKey: "AAAA")) == .unknown)
    }

    @Test("base64url that is not canonical is refused, in every segment")
    func base64urlNotCanonical() throws {
        let padded = { (text: [UInt8]) in text + "=".utf8 }
        let guest = try forge.guest().split(separator: UInt8(ascii: ".")).map { Array($0) }
        // 43 characters hold 258 bits: the last two are not used. The next character has one of them set.
        var loose = guest[2]
        loose[42] += 1
        #expect(forge.site.openGuest(Array([guest[0], guest[1], loose].joined(separator: ".".utf8))) == .unknown)
        #expect(
            forge.site.openGuest(Array([guest[0], guest[1], padded(guest[2])].joined(separator: ".".utf8))) == .unknown)
        // Signed as they stand, so that only their form is wrong.
        for payload in [guest[1] + "=".utf8, guest[1] + "==".utf8, guest[1] + "\n".utf8, [0x20] + guest[1]] {
            #expect(
                forge.site.openGuest(try forge.sign(Array([guest[0], payload].joined(separator: ".".utf8)))) == .unknown
            )
        }
        for header in [guest[0] + "=".utf8, guest[0] + "\n".utf8] {
            #expect(
                forge.site.openGuest(try forge.sign(Array([header, guest[1]].joined(separator: ".".utf8)))) == .unknown)
        }
        // A payload of one byte more than a multiple of three leaves four bits, of which none may be set.
        let claims = Forge.claims + String(repeating: " ", count: (4 - Forge.claims.utf8.count % 3) % 3)
        var segment = forge.segment(claims)
        #expect(segment.count % 4 == 2)
        #expect(forge.site.openGuest(try forge.sign(forge.segment(Forge.header) + ".".utf8 + segment)).value != nil)
        segment[segment.count - 1] += 1
        #expect(forge.site.openGuest(try forge.sign(forge.segment(Forge.header) + ".".utf8 + segment)) == .unknown)
    }

    @Test("standard base64 in place of base64url is refused")
    func standardBase64() throws {
        // "??>" makes both characters that differ.
        let claims = Forge.claims.adding("\"x\":\"???>>>\"")
        let segment = forge.segment(claims)
        let standard = segment.map {
            $0 == UInt8(ascii: "-") ? UInt8(ascii: "+") : $0 == UInt8(ascii: "_") ? UInt8(ascii: "/") : $0
        }
        #expect(standard != segment)
        #expect(forge.site.openGuest(try forge.sign(forge.segment(Forge.header) + ".".utf8 + standard)) == .unknown)
    }

    @Test("4,096 bytes are read, one more is not")
    func longestReadToken() throws {
        let blank = { (count: Int) in Forge.claims + String(repeating: " ", count: count) }
        let fitting = (0..<4_000).last {
            Base64URL.encodedCount(blank($0).utf8.count) + forge.segment(Forge.header).count + 45 <= 4_096
        }
        let count = try #require(fitting)
        let whole = try forge.guest(Forge.header, blank(count))
        #expect((4_093...4_096).contains(whole.count))
        #expect(forge.site.openGuest(whole).value != nil)
        let over = try forge.guest(Forge.header, blank(count + 3))
        #expect((4_097...4_100).contains(over.count))
        #expect(forge.site.openGuest(over) == .unknown)
    }

    @Test("any other library's order and spelling of the same header is accepted")
    func otherLibrariesOrder() throws {
        for header in [
            "{\"typ\":\"tc-guest+jwt\",\"alg\":\"HS256\",\"kid\":\"k1\"}",
            "{ \"kid\" : \"k1\" ,\n \"alg\" : \"HS256\" , \"typ\" : \"tc-guest+jwt\" }",
            "{\"\\u0061lg\":\"HS256\",\"kid\":\"\\u006b1\",\"typ\":\"tc-guest\\u002Bjwt\"}",
        ] {
            #expect(try forge.opensGuest(header))
        }
    }
}
