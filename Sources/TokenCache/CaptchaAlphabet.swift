internal import TokenCrypto

/// The texts of captchas, drawn without look-alikes.
public enum CaptchaAlphabet {
    /// The longest solution that is drawn, characters.
    public static let longest = 32

    /// Letters and digits none of which is mistaken for another in a bent picture.
    static let characters = Array("346789ACDEFGHJKMNPQRTUVWXY".utf8)

    /// A solution of so many characters, each as likely as any other.
    static func draw(_ length: Int, _ random: inout any RandomSource) throws(CryptoError) -> [UInt8] {
        // The largest multiple of the alphabet's size in a byte: what is above it is drawn again.
        let limit = UInt8(256 / characters.count * characters.count - 1)
        var text: [UInt8] = []
        while text.count < length {
            let bytes: Digest = try random.bytes()
            for byte in bytes.bytes where byte <= limit && text.count < length {
                text.append(characters[Int(byte) % characters.count])
            }
        }
        return text
    }

    /// Whether nothing is left to compare: such a solution would be solved by saying nothing.
    public static func isBlank(_ text: [UInt8]) -> Bool {
        String(decoding: text, as: UTF8.self).allSatisfy(\.isWhitespace)
    }
}
