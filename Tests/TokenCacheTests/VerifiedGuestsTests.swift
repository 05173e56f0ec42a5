import Testing
import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

@Suite("Verified guests")
struct VerifiedGuestsTests {
    private func guest(_ end: UnixSeconds) throws -> Guest {
        var random = SystemRandom()
        return Guest(sid: try random.bytes(), issued: UnixSeconds(1), expires: end, end: end)
    }

    @Test("a text is found as a whole, and as nothing else")
    func wholeTextIsFound() throws {
        var verified = VerifiedGuests()
        let text = Array("eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiIwMCJ9.c2lnbmF0dXJlLW9mLXRoaXMtdG9rZW4".utf8)
        let guest = try guest(UnixSeconds(10))
        text.withUnsafeBytes { verified.insert(guest, $0) }
        #expect(text.withUnsafeBytes { verified.find($0) } == guest)
        for index in text.indices {
            var other = text
            other[index] ^= 1
            #expect(other.withUnsafeBytes { verified.find($0) } == nil, "byte \(index) does not matter")
            #expect(text[..<index].withUnsafeBytes { verified.find($0) } == nil)
        }
        verified.removeAll()
        #expect(text.withUnsafeBytes { verified.find($0) } == nil)
    }

    @Test("ten thousand texts stay within the bound, and each finds its own guest or none")
    func bound() throws {
        var verified = VerifiedGuests()
        var all: [([UInt8], Guest)] = []
        for number in 0..<10_000 {
            var random = SystemRandom()
            let signature: Digest = try random.bytes()
            let entry = (
                Array("eyJ.\(number).".utf8) + signature.withUnsafeBytes { Hex.encode($0) }, try guest(UnixSeconds(2))
            )
            entry.0.withUnsafeBytes { verified.insert(entry.1, $0) }
            all.append(entry)
        }
        let found = all.filter { text, guest in
            guard let found = text.withUnsafeBytes({ verified.find($0) }) else { return false }
            #expect(found == guest)
            return true
        }
        #expect(found.count <= VerifiedGuests.capacity && found.count > VerifiedGuests.capacity / 2)
    }
}
