/// Which server answers, by its own `INFO server`, and whether it has what the daemon needs: scripts with flags, and
/// tracking by prefix.
///
/// All of them give a `redis_version`, for the clients' sake; most of the others have a field of their own beside it.
/// Sources: valkey.io/commands/info, dragonflydb.io/docs, kvrocks.apache.org/docs, microsoft.github.io/garnet,
/// docs.keydb.dev.
struct ServerIdentity: Equatable {
    /// `Redis`, `Valkey`, `KeyDB`, `Dragonfly`, `Kvrocks` or `Garnet`.
    let name: String
    /// Its own, at most 16 letters, digits, points and dashes; nil where it does not say.
    let version: String?

    /// Who names itself by the version that it gives, and the field of that.
    private static let fields = [
        ("Valkey", "valkey_version"), ("Dragonfly", "dragonfly_version"), ("Kvrocks", "kvrocks_version"),
        ("Garnet", "garnet_version"),
    ]
    /// The servers that work, and the first version of each that does.
    private static let oldest = ["Redis": (major: 7, minor: 0), "Valkey": (major: 7, minor: 2)]

    init(_ info: RedisReply) {
        var name = "Redis"
        var version = InformationText.field("redis_version", in: info)
        for (other, field) in Self.fields {
            guard let own = InformationText.field(field, in: info) else { continue }
            (name, version) = (other, own)
            break
        }
        // KeyDB says who it is nowhere but in its program's name, and in a feature that no other has.
        let program = InformationText.field("executable", in: info, last: 64)?.split(separator: "/").last
        let isKeyDB =
            program?.hasPrefix("keydb") == true || InformationText.field("features", in: info) == "cluster_mget"
        if name == "Redis", isKeyDB { name = "KeyDB" }
        self.name = name
        self.version = version.map { text in
            // `df-v1.40.1`, `v2.9`.
            let digits = text.drop { !$0.isNumber }
            return String((digits.isEmpty ? text[...] : digits).prefix(16).filter(Self.isShown))
        }
    }

    private static func isShown(_ character: Character) -> Bool {
        character.isASCII && (character.isNumber || character.isLetter || character == "." || character == "-")
    }

    /// Why it cannot be used; nil: it can, as far as it says who it is.
    var fault: RedisFault? {
        guard let oldest = Self.oldest[name] else {
            return RedisFault(
                .unfit, .otherServer, ": \(name)\(version.map { " \($0)" } ?? ""); Redis 7.0 or Valkey 7.2 is needed")
        }
        guard let version else { return nil }
        let numbers = version.split(separator: ".").prefix(2).map { Int($0) }
        guard let major = numbers.first ?? nil else { return nil }
        let minor = numbers.count > 1 ? numbers[1] ?? 0 : 0
        guard (major, minor) < (oldest.major, oldest.minor) else { return nil }
        let shown = name == "Redis" ? version : "\(name) \(version)"
        return RedisFault(.unfit, .tooOld, ": \(shown), and \(oldest.major).\(oldest.minor) is the least")
    }
}
