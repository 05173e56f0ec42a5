import SeededRandom
import Testing
import TokenCrypto

@testable import Tokens

/// Nothing usable at rest (rule 3): the successor opens for the holder of the old token and for nobody else.
@Suite("Rule 3: a successor opens for the holder of the old token alone")
struct SealedSuccessorTests {
    private let crypto: CryptoContext
    private let old: TestToken
    private let new: TestToken
    private let sid: SessionID
    private let sealed: SealedVerifier

    init() throws {
        crypto = try CryptoContext()
        old = try TestToken(1)
        new = try TestToken(2)
        var random = SeededRandom(seed: 7)
        sid = try random.bytes()
        sealed = try crypto.seal(new.verifier, under: old.verifier, sid: sid)
    }

    @Test("it opens under the old token")
    func opens() throws {
        #expect(try crypto.open(sealed, under: old.verifier, sid: sid, digest: new.digest) == new.verifier)
    }

    @Test("the seal is the one that the design writes down")
    func sealOfTheDesign() throws {
        var stream = [UInt8](repeating: 0, count: 48)
        let info = Array("tokencached successor v1".utf8) + new.digest.bytes
        try old.verifier.bytes.withUnsafeBytes { key in
            try sid.bytes.withUnsafeBytes { salt in
                try info.withUnsafeBytes { info in
                    try stream.withUnsafeMutableBytes {
                        try crypto.deriveKey(from: key, salt: salt, info: info, into: $0)
                    }
                }
            }
        }
        #expect(sealed.bytes == zip(new.verifier.bytes, stream).map { $0 ^ $1 })
    }

    @Test("it opens under no other verifier, not under one bit of difference")
    func otherVerifiers() throws {
        for bit in 0..<(48 * 8) {
            var other = old.verifier
            other.withUnsafeMutableBytes { $0[bit / 8] ^= 1 << UInt8(bit % 8) }
            #expect(try crypto.open(sealed, under: other, sid: sid, digest: new.digest) == nil)
        }
        #expect(try crypto.open(sealed, under: new.verifier, sid: sid, digest: new.digest) == nil)
    }

    @Test("tampering with any byte of the seal, the digest or the session id opens nothing")
    func tampering() throws {
        for index in 0..<48 {
            var tampered = sealed
            tampered.withUnsafeMutableBytes { $0[index] ^= 0x01 }
            #expect(try crypto.open(tampered, under: old.verifier, sid: sid, digest: new.digest) == nil)
        }
        for index in 0..<32 {
            var tampered = new.digest
            tampered.withUnsafeMutableBytes { $0[index] ^= 0x80 }
            #expect(try crypto.open(sealed, under: old.verifier, sid: sid, digest: tampered) == nil)
        }
        for index in 0..<16 {
            var tampered = sid
            tampered.withUnsafeMutableBytes { $0[index] ^= 0x10 }
            #expect(try crypto.open(sealed, under: old.verifier, sid: tampered, digest: new.digest) == nil)
        }
    }

    @Test("two successors under one old token share no key stream")
    func twoSuccessors() throws {
        let third = try TestToken(3)
        let other = try crypto.seal(third.verifier, under: old.verifier, sid: sid)
        let sealedDifference = zip(sealed.bytes, other.bytes).map { $0 ^ $1 }
        let difference = zip(new.verifier.bytes, third.verifier.bytes).map { $0 ^ $1 }
        #expect(sealedDifference != difference)
    }

    @Test("neither the seal nor the record holds a verifier")
    func noVerifierAtRest() throws {
        var life = try Life()
        try life.rotate()
        let stored = RecordCodec.encode(life.record).flatMap(\.value)
        for token in life.tokens {
            let verifier = token.verifier.bytes
            for start in 0...40 {
                let piece = Array(verifier[start..<start + 8])
                #expect(!stored.indices.dropLast(7).contains { Array(stored[$0..<$0 + 8]) == piece })
            }
        }
    }
}
