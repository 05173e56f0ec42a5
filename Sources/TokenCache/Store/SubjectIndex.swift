internal import TokenCrypto

/// Names the index of a subject's sessions: SHA-256 of the subject in hex, so that a key tells nothing of it and has
/// one length.
struct SubjectIndex: Equatable {
    let name: [UInt8]

    init(subject: [UInt8], crypto: CryptoContext) throws(CryptoError) {
        name = try crypto.digest(subject).withUnsafeBytes { Hex.encode($0) }
    }
}
