internal import TokenCrypto
internal import Tokens

/// Guest tokens that were verified lately, by their whole text: a visitor sends the same one with every request, and
/// comparing it again is a tenth of verifying it.
///
/// Only what this ring has verified is in here, so nobody else's text gets in; a text finds its place by its last
/// characters, the signature's, and puts out what stood there.
struct VerifiedGuests {
    /// A power of two. An entry takes about 400 bytes.
    static let capacity = 4_096

    private struct Entry {
        let text: [UInt8]
        let guest: Guest
    }

    private var entries = [Entry?](repeating: nil, count: capacity)

    /// The guest of a token that was verified before; its times are for the caller to judge.
    func find(_ text: UnsafeRawBufferPointer) -> Guest? {
        guard let place = Self.place(of: text), let entry = entries[place], entry.text.count == text.count else {
            return nil
        }
        // The signature is a secret that the text presented may be a guess of.
        return entry.text.withUnsafeBytes { constantTimeEqual($0, text) } ? entry.guest : nil
    }

    mutating func insert(_ guest: Guest, _ text: UnsafeRawBufferPointer) {
        guard let place = Self.place(of: text) else { return }
        entries[place] = Entry(text: [UInt8](text), guest: guest)
    }

    mutating func removeAll() { self = VerifiedGuests() }

    private static func place(of text: UnsafeRawBufferPointer) -> Int? {
        guard text.count >= 9 else { return nil }
        // The very last character has bits that are always zero.
        let word = text.loadUnaligned(fromByteOffset: text.count - 9, as: UInt64.self)
        return Int(truncatingIfNeeded: (word &* 0x9e37_79b9_7f4a_7c15) >> 52)
    }
}
