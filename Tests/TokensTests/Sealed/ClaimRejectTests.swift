import Testing
import TokenCrypto

@testable import Tokens

/// Claims that are refused although they are authentic: what another writer with the key might put there.
@Suite("Authentic tokens with refused claims")
struct ClaimRejectTests {
    let forge: Forge

    init() throws { forge = Forge(try Site()) }

    @Test(
        "an unknown claim is refused",
        arguments: [
            "\"sub\":\"admin\"", "\"aud\":\"x\"", "\"iss\":\"x\"", "\"nbf\":1800000000", "\"x\":null", "\"x\":[1]",
            "\"x\":{}", "\"sol\":\"K7wXe\"", "\"\":1",
        ])
    func unknownClaim(claim: String) throws {
        #expect(try !forge.opensGuest(Forge.header, Forge.claims.adding(claim)))
    }

    @Test(
        "an unknown claim of a captcha is refused",
        arguments: ["\"end\":1802592000", "\"beg\":1800000000", "\"sub\":\"x\"", "\"answer\":\"x\"", "\"aud\":\"x\""])
    func unknownClaimOfCaptcha(claim: String) throws {
        #expect(try !forge.opensCaptcha(Forge.captchaHeader, Forge.captchaClaims.adding(claim)))
    }

    @Test("a claim that comes twice is refused, however it is spelled")
    func claimTwice() throws {
        for claim in [
            "\"jti\":\"00112233445566778899aabbccddeeff\"", "\"iat\":1800000000", "\"exp\":1900000000",
            "\"end\":1900000000", "\"\\u0065xp\":1900000000",
        ] {
            #expect(try !forge.opensGuest(Forge.header, Forge.claims.adding(claim)))
        }
        for claim in ["\"sol\":\"x\"", "\"frm\":\"a\",\"frm\":\"a\"", "\"exp\":1", "\"bnd\":{},\"bnd\":{}"] {
            #expect(try !forge.opensCaptcha(Forge.captchaHeader, Forge.captchaClaims.adding(claim)))
        }
        #expect(try forge.opensGuest(Forge.header, Forge.claims.adding("\"bnd\":{}")))
        #expect(try !forge.opensGuest(Forge.header, Forge.claims.adding("\"bnd\":{},\"bnd\":{}")))
    }

    @Test(
        "a missing claim is refused",
        arguments: [
            "\"jti\":\"00112233445566778899aabbccddeeff\",", "\"iat\":1800000000,", "\"exp\":1800086400,",
            ",\"end\":1802592000", ",\"beg\":1800000000",
        ])
    func missingClaim(claim: String) throws {
        #expect(try !forge.opensGuest(Forge.header, Forge.claims.replacing(claim, by: "")))
    }

    @Test(
        "a time that is no whole number in range is refused",
        arguments: [
            "1.8e9", "1800000000.0", "18e8", "-1", "-0", "01800000000", "+1800000000", "9007199254740992",
            "99999999999999999999999999", "\"1800000000\"", "null", "true", "[1800000000]", "", "0x6B49D200", "1_800",
        ])
    func timeOutOfRange(number: String) throws {
        for claim in ["1800000000", "1800086400", "1802592000"] {
            #expect(try !forge.opensGuest(Forge.header, Forge.claims.replacing(claim, by: number)))
        }
    }

    @Test(
        "a jti that is not 32 lower-case hex digits is refused",
        arguments: [
            "00112233445566778899AABBCCDDEEFF", "00112233445566778899aabbccddeef", "00112233445566778899aabbccddeeff0",
            "",
            "0x00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeefg", "ABEiM0RVZneImaq7zN3u_w",
        ])
    func malformedIdentifier(identifier: String) throws {
        let claims = Forge.claims.replacing("00112233445566778899aabbccddeeff", by: identifier)
        #expect(try !forge.opensGuest(Forge.header, claims))
        let captcha = Forge.captchaClaims.replacing("00112233445566778899aabbccddeeff", by: identifier)
        #expect(try !forge.opensCaptcha(Forge.captchaHeader, captcha))
    }

    @Test(
        "claims of another shape are refused",
        arguments: [
            "", "{", "}", "null", "[]", "\"\"", "0", "{}", "{\"jti\"}", "[1,2]", "{\"bnd\":{\"ip\":{\"ip\":{}}}}",
            "\u{feff}{}",
        ])
    func otherShapes(claims: String) throws {
        #expect(try !forge.opensGuest(Forge.header, claims))
        #expect(try !forge.opensCaptcha(Forge.captchaHeader, claims))
        #expect(try !forge.opensGuest(claims, Forge.claims))
    }

    @Test("text behind the claims or the header is refused, white space is not")
    func textBehind() throws {
        for tail in ["x", "{}", ",", "\0", "}"] {
            #expect(try !forge.opensGuest(Forge.header, Forge.claims + tail))
            #expect(try !forge.opensGuest(Forge.header + tail, Forge.claims))
        }
        #expect(try forge.opensGuest(" \t\r\n" + Forge.header + " \n", " \n" + Forge.claims + "\t"))
    }

    @Test(
        "malformed bindings are refused, not left out",
        arguments: [
            "\"bnd\":\"\"", "\"bnd\":[]", "\"bnd\":{\"ip\":\"\"}", "\"bnd\":{\"ip\":\"AA\"}",
            "\"bnd\":{\"host\":\"AA\"}",
            "\"bnd\":{\"ip\":1}", "\"bnd\":null",
        ])
    func malformedBindings(claim: String) throws {
        #expect(try !forge.opensGuest(Forge.header, Forge.claims.adding(claim)))
    }
}
