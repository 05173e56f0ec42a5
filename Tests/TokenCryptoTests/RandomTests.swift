import Glibc
import Testing
import TokenCrypto

/// ASVS 7.2.3: tokens come from a CSPRNG, at least 128 bits each. The long form (10⁷ tokens) runs where
/// `LONG_TESTS` is set.
@Suite("ASVS 7.2.3: randomness")
struct RandomTests {
    static let tokens = getenv("LONG_TESTS") == nil ? 1_000_000 : 10_000_000

    /// Counts ones by bit position in binary, one plane per power of two: two operations per word and token instead
    /// of sixty-four.
    private struct BitCounts {
        private static let planes = 25
        private var planes = [UInt64](repeating: 0, count: 8 * planes)

        mutating func add(_ token: UnsafeRawBufferPointer) {
            planes.withUnsafeMutableBufferPointer { planes in
                var word = 0
                while word < 8 {
                    var carry = token.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self)
                    var at = word * Self.planes
                    while carry != 0 {
                        let old = planes[at]
                        planes[at] = old ^ carry
                        carry &= old
                        at += 1
                    }
                    word += 1
                }
            }
        }

        var ones: [Int] {
            (0..<512).map { bit in
                (0..<Self.planes).reduce(0) { sum, plane in
                    sum + Int(planes[bit / 64 * Self.planes + plane] >> UInt64(bit % 64) & 1) << plane
                }
            }
        }
    }

    @Test("ASVS 7.2.3: a million tokens hold no duplicate and no biased bit")
    func millionTokens() throws {
        var random = SystemRandom()
        var counts = BitCounts()
        var selectors = [UInt64](repeating: 0, count: Self.tokens)
        var verifiers = [UInt64](repeating: 0, count: Self.tokens)
        var token = [UInt8](repeating: 0, count: 64)
        for index in 0..<Self.tokens {
            try token.withUnsafeMutableBytes { buffer in
                try random.fill(buffer)
                counts.add(UnsafeRawBufferPointer(buffer))
                selectors[index] = buffer.loadUnaligned(as: UInt64.self)
                verifiers[index] = buffer.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
            }
        }
        // By chance two of 10⁷ share their first 64 bits once in 370 000 runs.
        #expect(duplicates(selectors) == 0)
        #expect(duplicates(verifiers) == 0)
        // Six standard deviations: by chance once in a million runs over 512 bits.
        let allowed = 6 * (Double(Self.tokens).squareRoot() / 2)
        for (bit, ones) in counts.ones.enumerated() {
            #expect(abs(Double(ones) - Double(Self.tokens) / 2) < allowed, "bit \(bit): \(ones) ones")
        }
    }

    private func duplicates(_ values: [UInt64]) -> Int {
        let sorted = values.sorted()
        var found = 0
        for index in 1..<sorted.count where sorted[index] == sorted[index - 1] { found += 1 }
        return found
    }

    @Test("the bit counter finds a bias where there is one")
    func bitCounter() {
        var counts = BitCounts()
        var token = [UInt8](repeating: 0, count: 64)
        for index in 0..<1_000 {
            token[0] = UInt8(index % 2)
            token[63] = 0x80
            token.withUnsafeBytes { counts.add($0) }
        }
        let ones = counts.ones
        #expect(ones[0] == 500 && ones[511] == 1_000 && ones[1] == 0)
    }

    @Test("fixed values are filled to the last byte")
    func filledToTheEnd() throws {
        var random = SystemRandom()
        // A byte left at zero in all of 64 tries would be chance once in 2⁵¹².
        var union = Verifier()
        for _ in 0..<64 {
            let verifier: Verifier = try random.bytes()
            union.withUnsafeMutableBytes { union in
                verifier.withUnsafeBytes { for index in 0..<48 { union[index] |= $0[index] } }
            }
        }
        #expect(union.bytes.allSatisfy { $0 != 0 })
    }

    @Test("a source that fails gives its error, never a value")
    func failingSource() {
        struct Broken: RandomSource {
            mutating func fill(_: UnsafeMutableRawBufferPointer) throws(CryptoError) {
                throw CryptoError(operation: "RAND_bytes")
            }
        }
        var random = Broken()
        #expect(throws: CryptoError(operation: "RAND_bytes")) { () throws -> Void in
            let _: Verifier = try random.bytes()
        }
    }
}
