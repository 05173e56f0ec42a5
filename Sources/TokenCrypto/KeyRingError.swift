/// Why a key ring cannot be read, made or written: what is wrong, and where. Holds no byte of a key.
public enum KeyRingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong with a key.
    public enum Fault: String, Sendable {
        case kid = "its name must be 1 to 32 of A-Z a-z 0-9 _ -"
        case secret = "its key must be 32 bytes"
        case created = "its time of creation is out of range"
        case activeFrom = "active_from is out of range"
        case duplicate = "its name is there twice"
    }

    /// `name`: where it is valid.
    case key(Fault, name: String?)
    case noKeys
    case tooManyKeys
    case tooLong
    /// `key`: how many whole keys stand before the place.
    case malformed(JSONError, key: Int?)

    /// There is no such file.
    case missing(path: String)
    /// It is there already, and must not be replaced.
    case exists(path: String)
    case notRegular(path: String)
    /// It belongs to neither the user of this process nor root.
    case foreign(path: String, user: UInt32)
    /// Others than its owner, and a group that this process is in, may read or change it. `mode`: the lower twelve bits.
    case exposed(path: String, mode: UInt32)
    /// The system refused `operation`.
    case system(path: String, operation: String, reason: String)
    case cryptography(CryptoError)

    /// The description, and the path of the ring where it does not name it itself.
    public func description(of path: String) -> String {
        switch self {
        case .missing, .exists, .notRegular, .foreign, .exposed, .system: description
        case .key, .noKeys, .tooManyKeys, .tooLong, .malformed, .cryptography: "\(path): \(description)"
        }
    }

    public var description: String {
        switch self {
        case .key(let fault, let name?): "key \"\(name)\" of the key ring: \(fault.rawValue)"
        case .key(let fault, nil): "a key of the key ring: \(fault.rawValue)"
        case .noKeys: "a key ring needs at least one key"
        case .tooManyKeys: "a key ring has at most \(KeyRing.maxKeys) keys"
        case .tooLong: "a key ring has at most \(KeyRing.maxEncodedCount) bytes"
        case .malformed(let error, let keys?): "keys[\(keys)] of the key ring: \(error)"
        case .malformed(let error, nil): "the key ring: \(error)"
        case .missing(let path): "there is no key ring \(path)"
        case .exists(let path): "there is a file \(path) already"
        case .notRegular(let path): "the key ring \(path) is no regular file"
        case .exposed(let path, let mode):
            "the key ring \(path) has mode 0\(String(mode, radix: 8)): others may have no rights to it, a group only to "
                + "read it, and only one that the daemon is in (chmod 600)"
        case .foreign(let path, let user):
            "the key ring \(path) belongs to user \(user), not to the daemon's user or root"
        case .system(let path, let operation, let reason): "the key ring \(path): \(operation): \(reason)"
        case .cryptography(let error): "the key ring: \(error)"
        }
    }
}
