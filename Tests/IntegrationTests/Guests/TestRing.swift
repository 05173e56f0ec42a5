import Foundation
import TestSupport

/// The key ring of a test, written again as an operator would.
struct TestRing {
    struct Key {
        let kid: String
        let secret: Data
        let activeFrom: Int
    }

    let path: String

    init(_ stage: Stage) throws { path = try stage.keyRing() }
    init(path: String) { self.path = path }

    /// A new key.
    func key(_ kid: String, activeFrom: Int) -> Key {
        Key(kid: kid, secret: Data((0..<32).map { _ in UInt8.random(in: 0...255) }), activeFrom: activeFrom)
    }

    func write(_ keys: [Key]) throws {
        // The file is replaced, as its writer does: a daemon never reads half of it.
        let new = "\(path).new"
        try KeyRingText.write(keys.map { ($0.kid, $0.secret, $0.activeFrom) }, to: new)
        guard rename(new, path) == 0 else { throw HarnessFailure("rename of a key ring") }
    }

    static var now: Int { Int(Date().timeIntervalSince1970) }

    /// The `kid` that a compact JWS or JWE names.
    static func kid(of token: String) throws -> String {
        guard let data = KeyRingText.data(base64url: token.prefix { $0 != "." }),
            let header = try JSONSerialization.jsonObject(with: data) as? [String: Any],
            let kid = header["kid"] as? String
        else { throw HarnessFailure("no kid in a token") }
        return kid
    }
}
