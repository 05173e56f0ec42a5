public import Foundation

/// Key rings as an operator writes them.
public enum KeyRingText {
    /// Writes a ring that only its owner may read.
    /// - Parameter keys: 32 bytes each; `activeFrom` in Unix seconds.
    public static func write(_ keys: [(kid: String, key: Data, activeFrom: Int)], to path: String) throws {
        let rows = keys.map { row in
            "{\"kid\":\"\(row.kid)\",\"key\":\"\(base64url(row.key))\",\"created\":1,\"active_from\":\(row.activeFrom)}"
        }
        let text = Data("{\"keys\":[\(rows.joined(separator: ","))]}".utf8)
        guard
            FileManager.default.createFile(
                atPath: path, contents: text, attributes: [.posixPermissions: 0o600])
        else { throw HarnessFailure("cannot write \(path)") }
    }

    public static func base64url(_ data: Data) -> String {
        data.base64EncodedString().replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }

    /// What a part of a compact token says; nil if it is no base64url.
    public static func data(base64url text: some StringProtocol) -> Data? {
        let standard = text.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        return Data(base64Encoded: standard + String(repeating: "=", count: (4 - standard.count % 4) % 4))
    }
}
